#include "cli/bench/model_figures.h"

#include <cstdio>
#include <ctime>
#include <fstream>

#include "base/check.h"
#include "base/clock.h"

namespace lockstep {
namespace {

void add_tensor(const StoredTensor& tensor, bool tied_head, ModelFigures& figures) {
  figures.bytes += tensor.bytes;
  const TensorKind kind = tensor.kind;
  if (kind == TensorKind::kTokenizer || kind == TensorKind::kChatTemplate) return;
  const auto elements =
      static_cast<std::uint64_t>(tensor.rows) * static_cast<std::uint64_t>(tensor.k);
  figures.params += elements;
  const bool head = kind == TensorKind::kOutputHead || kind == TensorKind::kTokenEmbedding;
  if (kind == TensorKind::kTokenEmbedding && !tied_head) return;
  figures.step_bytes += tensor.bytes;
  if (tensor.format == WeightFormat::kF32) return;
  (head ? figures.head_multiply_adds : figures.layer_multiply_adds) += elements;
}

}  // namespace

ModelFigures figures_of(const Manifest& manifest) {
  ModelFigures figures;
  for (const StoredTensor& tensor : manifest.tensors) {
    add_tensor(tensor, manifest.config.tied_head, figures);
  }
  const StoredTensor* matrix = manifest.find(TensorKind::kAttnOutput, 0, 0);
  CHECK(matrix != nullptr, "a checked manifest has layer 0");
  char millions[32];
  (void)std::snprintf(millions, sizeof millions, "%.1fM",
                      static_cast<double>(figures.params) * 1e-6);
  figures.type =
      "llama " + std::string(millions) + " " + std::string(weight_format_name(matrix->format));
  return figures;
}

std::string cpu_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string utc_now() {
  const std::time_t now = system_clock().unix_seconds();
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  (void)std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace lockstep
