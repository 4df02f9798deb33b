#include "cli/bench/bench_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "cli/output.h"
#include "cli/version.h"

namespace lockstep {
namespace {

struct Moments {
  double mean = 0;
  double deviation = 0;  // Of a sample: divided by n - 1.
};

template <typename T>
Moments moments(const std::vector<T>& samples) {
  Moments m;
  if (samples.empty()) return m;
  const auto n = static_cast<double>(samples.size());
  for (const T sample : samples) m.mean += static_cast<double>(sample) / n;
  if (samples.size() < 2) return m;
  double squares = 0;
  for (const T sample : samples) squares += std::pow(static_cast<double>(sample) - m.mean, 2);
  m.deviation = std::sqrt(squares / (n - 1));
  return m;
}

OrderedJson row_json(const BenchRow& row) {
  const Moments ns = moments(row.samples_ns);
  const Moments ts = moments(row.samples_ts());
  OrderedJson json;
  json["build_commit"] = kProgramVersion;
  json["build_number"] = 0;
  json["cpu_info"] = row.cpu;
  json["gpu_info"] = "";
  json["backends"] = "CPU";
  json["model_filename"] = row.model_filename;
  json["model_type"] = row.figures.type;
  json["model_size"] = row.figures.bytes;
  json["model_n_params"] = row.figures.params;
  json["n_batch"] = row.n_batch;
  json["n_ubatch"] = row.n_batch;
  json["n_threads"] = row.n_threads;
  json["type_k"] = row.kv_bits == 16 ? "i16" : "i8";
  json["type_v"] = row.kv_bits == 16 ? "i16" : "i8";
  json["n_gpu_layers"] = 0;
  json["n_prompt"] = row.n_prompt;
  json["n_gen"] = row.n_gen;
  json["n_depth"] = row.n_depth;
  json["test_time"] = row.test_time;
  json["avg_ns"] = static_cast<std::uint64_t>(ns.mean);
  json["stddev_ns"] = static_cast<std::uint64_t>(ns.deviation);
  json["avg_ts"] = ts.mean;
  json["stddev_ts"] = ts.deviation;
  json["samples_ns"] = row.samples_ns;
  json["samples_ts"] = row.samples_ts();
  json["device"] = row.device;
  json["ranks"] = row.ranks;
  json["activation_bits"] = row.activation_bits;
  json["kv_bits"] = row.kv_bits;
  json["step_bytes"] = row.figures.step_bytes;
  json["layer_multiply_adds"] = row.figures.layer_multiply_adds;
  json["head_multiply_adds"] = row.figures.head_multiply_adds;
  return json;
}

std::string printf_text(const char* format, double a, double b) {
  char text[64];
  (void)std::snprintf(text, sizeof text, format, a, b);
  return text;
}

// Every field in double quotes, as llama-bench writes them; lists are JSON in one field and left
// out, as there.
std::string csv_text(const std::vector<BenchRow>& rows) {
  std::string text;
  for (const BenchRow& row : rows) {
    std::string heading;
    std::string line;
    const OrderedJson json = row_json(row);
    for (const auto& [key, value] : json.items()) {
      if (value.is_array()) continue;
      std::string field = value.is_string() ? value.get<std::string>() : value.dump();
      for (std::size_t at = 0; (at = field.find('"', at)) != std::string::npos; at += 2) {
        field.insert(at, 1, '"');
      }
      heading += (heading.empty() ? "" : ",") + key;
      line += (line.empty() ? "\"" : ",\"") + field + "\"";
    }
    if (text.empty()) text = heading + "\n";
    text += line + "\n";
  }
  return text;
}

std::string markdown_text(const std::vector<BenchRow>& rows) {
  std::string text =
      "| model | size | params | backend | threads | ranks | device | test | t/s |\n"
      "| --- | ---: | ---: | --- | ---: | ---: | --- | ---: | ---: |\n";
  for (const BenchRow& row : rows) {
    const Moments ts = moments(row.samples_ts());
    text += "| " + row.figures.type + " | " +
            printf_text("%.2f MiB", static_cast<double>(row.figures.bytes) / (1 << 20), 0) + " | " +
            printf_text("%.2f M", static_cast<double>(row.figures.params) * 1e-6, 0) + " | CPU | " +
            std::to_string(row.n_threads) + " | " + std::to_string(row.ranks) + " | " + row.device +
            " | " + row.test_name() + " | " + printf_text("%.2f ± %.2f", ts.mean, ts.deviation) +
            " |\n";
  }
  return text;
}

}  // namespace

std::string BenchRow::test_name() const {
  std::string name = n_prompt > 0 ? "pp" + std::to_string(n_prompt) : "tg" + std::to_string(n_gen);
  if (n_depth > 0) name += " @ d" + std::to_string(n_depth);
  return name;
}

std::vector<double> BenchRow::samples_ts() const {
  std::vector<double> samples;
  for (const std::uint64_t ns : samples_ns) {
    samples.push_back(1e9 * (n_prompt + n_gen) /
                      static_cast<double>(std::max<std::uint64_t>(ns, 1)));
  }
  return samples;
}

Status print_rows(const std::vector<BenchRow>& rows, const std::string& format) {
  if (format == "md") return print_text(markdown_text(rows));
  if (format == "csv") return print_text(csv_text(rows));
  if (format == "jsonl") {
    std::string text;
    for (const BenchRow& row : rows) text += row_json(row).dump() + "\n";
    return print_text(text);
  }
  OrderedJson all = OrderedJson::array();
  for (const BenchRow& row : rows) all.push_back(row_json(row));
  return print_json(all);
}

}  // namespace lockstep
