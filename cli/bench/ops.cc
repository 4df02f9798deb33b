#include "cli/bench/ops.h"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "base/checked.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"
#include "sharding/store.h"

namespace lockstep {
namespace {

using benchmark::State;
using kernels::Activations;
using kernels::Backend;

// What one operation streams, in all: more than the caches hold, as in a decode of a whole model.
constexpr std::size_t kStreamBytes = std::size_t{96} << 20;

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};

// Memory on a cache line, every byte the same. Any byte is a code; as binary16 it is a small
// number, and so it is as binary32.
template <typename T>
std::unique_ptr<T[], FreeDeleter> filled(std::size_t count, std::uint8_t byte = 0x2a) {
  const std::size_t bytes = round_up<std::size_t>(count * sizeof(T), 64);
  auto* memory = static_cast<std::uint8_t*>(std::aligned_alloc(64, bytes));
  if (memory == nullptr) std::abort();
  std::fill(memory, memory + bytes, byte);
  return std::unique_ptr<T[], FreeDeleter>(reinterpret_cast<T*>(memory));
}

std::vector<float> values(std::size_t count) {
  std::vector<float> made(count);
  for (std::size_t i = 0; i < count; ++i) {
    made[i] = static_cast<float>(static_cast<int>(i * 7919 % 2001) - 1000) * 1e-3F;
  }
  return made;
}

constexpr std::size_t size(std::int64_t a, std::int64_t b = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

// Codes of some tokens.
class Codes {
 public:
  Codes(const Backend& backend, int tokens, int k, int bits) {
    view_.num_tokens = tokens;
    view_.k_padded = round_up(k, kGroupSize);
    view_.segment_groups = kFoldSegment / kGroupSize;
    view_.bits = bits;
    hi_ = filled<std::int8_t>(size(tokens, view_.k_padded));
    lo_ = filled<std::int8_t>(size(tokens, view_.k_padded));
    scales_ = filled<float>(size(tokens, view_.groups()));
    sums_ = filled<std::int32_t>(size(tokens, view_.groups()));
    view_.hi = bits == 16 ? hi_.get() : nullptr;
    view_.lo = lo_.get();
    view_.scales = scales_.get();
    view_.sums = sums_.get();
    const std::vector<float> x = values(size(tokens, k));
    (void)backend.quantize({x.data(), k, k, view_, 0, tokens});
  }
  const Activations& view() const { return view_; }

 private:
  std::unique_ptr<std::int8_t[], FreeDeleter> hi_, lo_;
  std::unique_ptr<float[], FreeDeleter> scales_;
  std::unique_ptr<std::int32_t[], FreeDeleter> sums_;
  Activations view_;
};

struct Matrix {
  std::string name;
  int rows;
  int k;
};

struct LinearShape {
  WeightFormat format;
  int bits;
  Matrix matrix;
  int tokens;
};

void bench_linear(State& state, const Backend& backend, const LinearShape& shape) {
  const auto [format, bits, matrix, tokens] = shape;
  const std::size_t bytes = p16_bytes(format, matrix.rows, matrix.k);
  const std::size_t copies = std::max<std::size_t>(1, kStreamBytes / bytes);
  const auto weights = filled<std::uint8_t>(bytes * copies);
  const Codes input(backend, tokens, matrix.k, bits);
  kernels::LinearArgs args{};
  args.weight = {weights.get(), format, matrix.rows, matrix.k};
  args.input = input.view();
  args.output_stride = args.weight.panels() * kPanelRows;
  const auto output = filled<float>(size(tokens, args.output_stride));
  args.output = output.get();
  args.panel_begin = 0;
  args.panel_end = args.weight.panels();
  std::size_t copy = 0;
  for ([[maybe_unused]] const auto& iteration : state) {
    args.weight.data = weights.get() + bytes * copy;
    copy = copy + 1 == copies ? 0 : copy + 1;
    backend.linear(args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.counters["MAC/s"] = benchmark::Counter(1.0 * matrix.rows * matrix.k * tokens,
                                               benchmark::Counter::kIsIterationInvariantRate);
}

// One token's heads over `context` positions.
void bench_attention(State& state, const Backend& backend, const ModelConfig& model, int context) {
  const int blocks = ceil_div(context, kernels::kKvBlockTokens);
  const std::size_t slots = size(blocks, kernels::kKvBlockTokens) * size(model.num_kv_heads);
  const std::size_t bytes = slots * size(model.head_size) * size(model.kv_bits / 8);
  const auto keys = filled<std::uint8_t>(bytes);
  const auto cached = filled<std::uint8_t>(bytes);
  const std::vector<float> scales(slots, 1e-4F);
  std::vector<float> key_scales = scales;
  std::vector<float> value_scales = scales;
  std::vector<std::int32_t> table;
  for (int i = 0; i < blocks; ++i) table.push_back(i);
  const std::vector<float> queries = values(size(model.num_heads, model.head_size));
  std::vector<float> output(queries.size());
  const kernels::AttentionArgs args = {
      .queries = queries.data(),
      .output = output.data(),
      .cache = {.keys = keys.get(),
                .values = cached.get(),
                .key_scales = key_scales.data(),
                .value_scales = value_scales.data(),
                .num_kv_heads = model.num_kv_heads,
                .head_size = model.head_size,
                .kv_bits = model.kv_bits},
      .block_table = table.data(),
      .position = context - 1,
      .num_heads = model.num_heads,
      .first_kv_head = 0,
      .first_group_left = model.query_group(),
      .query_group = model.query_group(),
  };
  for ([[maybe_unused]] const auto& iteration : state) {
    benchmark::DoNotOptimize(backend.attention(args));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * bytes));
}

void bench_rms_norm(State& state, const Backend& backend, int tokens, int dim) {
  const std::vector<float> input = values(size(tokens, dim));
  const std::vector<float> weight = values(size(dim));
  std::vector<float> output(input.size());
  for ([[maybe_unused]] const auto& iteration : state) {
    backend.rms_norm({input.data(), weight.data(), output.data(), tokens, dim, 1e-5F});
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * tokens * dim);
}

void bench_quantize(State& state, const Backend& backend, int tokens, const Matrix& vector,
                    int bits) {
  const std::vector<float> input = values(size(tokens, vector.k));
  const Codes codes(backend, tokens, vector.k, bits);
  for ([[maybe_unused]] const auto& iteration : state) {
    benchmark::DoNotOptimize(
        backend.quantize({input.data(), vector.k, vector.k, codes.view(), 0, tokens}));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * tokens * vector.k);
}

void bench_swiglu(State& state, const Backend& backend, int tokens, int width) {
  const std::vector<float> gate_up = values(size(tokens, 2 * width));
  std::vector<float> output(size(tokens, width));
  for ([[maybe_unused]] const auto& iteration : state) {
    backend.swiglu({gate_up.data(), gate_up.data() + kPanelRows, 2 * width, 2 * kPanelRows,
                    output.data(), width, tokens, width});
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * tokens * width);
}

template <typename... Parts>
std::string joined(const std::string& first, const Parts&... parts) {
  return (first + ... + ("/" + parts));
}

template <typename Function>
void add(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(function));
}

void add_linear(const Backend& backend, const std::vector<Matrix>& matrices) {
  for (const WeightFormat format :
       {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0}) {
    for (const int bits : {16, 8}) {
      for (const Matrix& matrix : matrices) {
        for (const int tokens : {1, 2, 4, 8, 32, 512}) {
          const LinearShape shape = {format, bits, matrix, tokens};
          add(joined("linear", std::string(weight_format_name(format)), "a" + std::to_string(bits),
                     matrix.name, std::to_string(tokens)),
              [&backend, shape](State& state) { bench_linear(state, backend, shape); });
        }
      }
    }
  }
}

void add_operations(const Backend& backend, const ModelConfig& model) {
  const int ffn = round_up(model.ffn_dim, kGroupSize);
  const int heads = model.num_heads * model.head_size;
  const int qkv = heads + 2 * model.num_kv_heads * model.head_size;
  const std::vector<Matrix> matrices = {{"attn_qkv", qkv, model.hidden_dim},
                                        {"attn_output", model.hidden_dim, heads},
                                        {"ffn_gate_up", 2 * ffn, model.hidden_dim},
                                        {"ffn_down", model.hidden_dim, ffn},
                                        {"head", model.vocab_size, model.hidden_dim}};
  add_linear(backend, matrices);
  for (const int kv_bits : {16, 8}) {
    for (const int context : {16, 128, 512, 2000, 8000}) {
      ModelConfig shape = model;
      shape.kv_bits = kv_bits;
      add(joined("attention", "kv" + std::to_string(kv_bits), std::to_string(context)),
          [&backend, shape, context](State& state) {
            bench_attention(state, backend, shape, context);
          });
    }
  }
  for (const int tokens : {1, 32, 512}) {
    const std::string count = std::to_string(tokens);
    add(joined("rms_norm", count), [&backend, tokens, dim = model.hidden_dim](State& state) {
      bench_rms_norm(state, backend, tokens, dim);
    });
    for (const int bits : {16, 8}) {
      for (const Matrix& matrix : {matrices[0], matrices[3]}) {
        add(joined("quantize", "a" + std::to_string(bits), std::to_string(matrix.k), count),
            [&backend, tokens, matrix, bits](State& state) {
              bench_quantize(state, backend, tokens, matrix, bits);
            });
      }
    }
    add(joined("swiglu", count),
        [&backend, tokens, ffn](State& state) { bench_swiglu(state, backend, tokens, ffn); });
  }
}

// SmolLM2-135M.
ModelConfig default_shapes() {
  ModelConfig model;
  model.hidden_dim = 576;
  model.ffn_dim = 1536;
  model.num_heads = 9;
  model.num_kv_heads = 3;
  model.head_size = 64;
  model.vocab_size = 49152;
  return model;
}

}  // namespace

Result<int> run_ops(const OpsOptions& options, bool json) {
  LOCKSTEP_TRY_ASSIGN(const Backend* backend, kernels::find_backend(options.device), "--device");
  ModelConfig model = default_shapes();
  if (!options.model.empty()) {
    LOCKSTEP_TRY_ASSIGN(const Store store, Store::open(options.model), "--model");
    model = store.manifest().config;
  }
  set_canonical_float_mode();
  add_operations(*backend, model);
  benchmark::AddCustomContext("device", std::string(backend->name));
  std::vector<std::string> words = {"lockstep", "--benchmark_filter=" + options.filter,
                                    "--benchmark_min_time=" + std::to_string(options.min_time_s),
                                    "--benchmark_format=" + std::string(json ? "json" : "console")};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  int count = narrow<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  const std::size_t ran = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  if (ran == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "--filter: no operation is called like \"" + options.filter + "\""};
  }
  return 0;
}

}  // namespace lockstep
