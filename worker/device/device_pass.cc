#include "worker/device/device_pass.h"

#include <algorithm>

#include "base/checked.h"
#include "worker/device/device_cache.h"
#include "worker/device/device_needs.h"
#include "worker/device/nccl_exchange.h"
#include "worker/runner/embedding_exchange.h"

namespace lockstep {

using cuda::ActivationTiles;
using cuda::LinearResult;
using cuda::Segments;
using cuda::WeightTiles;
using kernels::MatrixView;

namespace {

std::uint64_t multiply_adds(const MatrixView& matrix) { return size_of(matrix.rows, matrix.k); }

std::uint64_t multiply_adds(const LayerShard& layer) {
  std::uint64_t sum = 0;
  for (const HeadMatrix& qkv : layer.qkv) sum += multiply_adds(qkv.matrix);
  for (const MatrixView& part : layer.attn_output) sum += multiply_adds(part);
  for (const GateUp& part : layer.gate_up) {
    sum += multiply_adds(part.gate) + (part.fused ? 0 : multiply_adds(part.up));
  }
  for (const MatrixView& part : layer.ffn_down) sum += multiply_adds(part);
  return sum;
}

std::uint64_t linear_calls(const DeviceLayer& layer) {
  constexpr std::size_t kOutputAndDown = 2;
  return layer.projections.size() + kOutputAndDown + (layer.fused ? 1U : 2U);
}

}  // namespace

DevicePass::DevicePass(const ModelShard& shard, std::span<const Range> runs, Communicator& group,
                       const RunnerConfig& config)
    : shard_(shard),
      runs_(runs),
      group_(group),
      device_(*config.device.table),
      device_index_(config.device.index),
      exchange_(config.exchange),
      segments_of_rank_(config.segments_of_rank),
      rope_(shard.config().rope_frequencies),
      use_graphs_(config.device.graphs && group.world_size() == 1) {
  shapes_ = device_shapes(shard_.manifest(), shard_.run());
  limits_ = limits_of(config, shapes_);
  for (const VocabRows& rows : shard.head()) head_multiply_adds_ += multiply_adds(rows.matrix);
}

DevicePass::~DevicePass() {
  if (stream_ == nullptr) return;
  (void)device_.runtime.use_device(device_index_);
  (void)device_.runtime.wait(stream_);
  for (const auto& [shape, graph] : graphs_) (void)device_.runtime.end_graph(graph);
  (void)device_.runtime.end_stream(stream_);
}

Result<std::unique_ptr<StepPass>> DevicePass::create(const ModelShard& shard,
                                                     std::span<const Range> runs,
                                                     Communicator& group,
                                                     const RunnerConfig& config) {
  std::unique_ptr<DevicePass> pass(new DevicePass(shard, runs, group, config));
  LOCKSTEP_TRY(pass->load(), "load");
  return std::unique_ptr<StepPass>(std::move(pass));
}

Status DevicePass::load() {
  LOCKSTEP_TRY(check(device_.runtime.use_device(device_index_), "use device"), "device");
  LOCKSTEP_TRY(check(device_.runtime.make_stream(&stream_), "make stream"), "device");
  const DeviceNeeds needs = device_needs(shapes_, limits_);
  LOCKSTEP_TRY_ASSIGN(workspace_memory_, DeviceMemory::allocate(device_, needs.workspace),
                      "workspace");
  LOCKSTEP_TRY_ASSIGN(cache_memory_, DeviceMemory::allocate(device_, needs.cache), "KV cache");
  // The workspace is empty yet: tensors pass through it on their way.
  LOCKSTEP_TRY_ASSIGN(
      weights_, DeviceShard::load(device_, stream_, shard_, shapes_, workspace_memory_.data()),
      "shard");
  DeviceArena cache = cache_memory_.arena();
  cache_ = lay_out_cache(cache, shapes_, limits_);
  DeviceArena workspace = workspace_memory_.arena();
  workspace_ = StepWorkspace::lay_out(workspace, shapes_, limits_);
  return {};
}

Status DevicePass::begin(const StepBatch& batch) {
  batch_ = &batch;
  if (num_tokens() > limits_.tokens) {
    return Error{ErrorCode::kInvalidArgument, "plan: " + std::to_string(num_tokens()) +
                                                  " tokens, the device has room for " +
                                                  std::to_string(limits_.tokens)};
  }
  LOCKSTEP_TRY(check(device_.runtime.use_device(device_index_), "use device"), "begin");
  std::uint32_t positions = 0;
  for (const BatchToken& token : batch.tokens) positions = std::max(positions, token.position + 1);
  rope_.grow(positions);
  const StepShape shape =
      StepShape::of(batch, shapes_, limits_, workspace_.split_cells, use_graphs_);
  tables_ = StepTables::make(batch, shapes_, rope_, workspace_, shape);
  if (tables_.bytes.size() > workspace_.table_bytes) {
    return Error{ErrorCode::kInvalidArgument, "plan: its block tables are longer than the context"};
  }
  LOCKSTEP_TRY(check(device_.runtime.copy_in(workspace_.tables, tables_.bytes.data(),
                                             tables_.bytes.size(), stream_),
                     "copy tables"),
               "begin");
  const std::size_t sequences = batch.tables.size() + 1;
  LOCKSTEP_TRY(check(device_.runtime.fill(workspace_.flags, 0xFF, sequences * sizeof(std::uint32_t),
                                          stream_),
                     "clear flags"),
               "begin");
  return embed();
}

Status DevicePass::embed() {
  const int dim = model().hidden_dim;
  cuda::EmbedArgs args{weights_.embedding(), tables_.tokens, workspace_.hidden, dim, dim,
                       num_tokens()};
  if (group_.world_size() == 1) return check(device_.operations.embed(args, stream_), "embed");

  const EmbeddingExchange exchange(*batch_, runs_, shard_.parts(), group_.rank());
  std::vector<std::int32_t> rows = exchange.own_tokens();
  for (std::int32_t& row : rows) row -= shapes_.vocab.begin;
  std::vector<float> mine(rows.size() * size_of(dim));
  std::vector<float> all(size_of(num_tokens(), dim));
  args.num_tokens = static_cast<int>(rows.size());
  // The table of tokens has room for them, and nobody else reads it.
  LOCKSTEP_TRY(check(device_.runtime.copy_in(workspace_.tables, rows.data(),
                                             rows.size() * sizeof(std::int32_t), stream_),
                     "copy tokens"),
               "embedding");
  args.rows = reinterpret_cast<const std::int32_t*>(workspace_.tables);
  LOCKSTEP_TRY(check(device_.operations.embed(args, stream_), "embed"), "embedding");
  LOCKSTEP_TRY(check(device_.runtime.copy_out(mine.data(), workspace_.hidden,
                                              mine.size() * sizeof(float), stream_),
                     "copy"),
               "embedding");
  LOCKSTEP_TRY(wait("look up embedding"), "embedding");
  LOCKSTEP_TRY(exchange.exchange(group_, mine, dim, all), "embedding");
  return check(
      device_.runtime.copy_in(workspace_.hidden, all.data(), all.size() * sizeof(float), stream_),
      "copy embedding");
}

ActivationTiles DevicePass::codes(const ActivationTiles& of, const Segments& segments) const {
  ActivationTiles tiles = of;
  tiles.segments = segments;
  tiles.num_tokens = padded_tokens();
  return tiles;
}

cuda::NonFiniteReport DevicePass::report(int layer, Operation operation) const {
  return {workspace_.flags, tables_.sequences, non_finite_code(layer, operation)};
}

Status DevicePass::quantize(const Quantized& q) {
  cuda::QuantizeArgs args{q.input, q.width, q.width, q.output, q.report};
  args.norm_weight = q.norm;
  args.epsilon = model().rms_epsilon;
  return check(device_.operations.quantize(args, stream_), "quantize");
}

Status DevicePass::linear(const WeightTiles& weight, const ActivationTiles& input, float* output,
                          int stride, LinearResult result) {
  return check(device_.operations.linear({weight, input, output, stride, result}, stream_),
               "linear");
}

Status DevicePass::attend(int index) {
  const DeviceLayer& layer = weights_.layer(index);
  const ActivationTiles input = codes(workspace_.hidden_codes, weights_.hidden_segments());
  LOCKSTEP_TRY(quantize({workspace_.hidden, model().hidden_dim, input,
                         report(index, Operation::kAttentionInput), layer.attn_norm}),
               "attention input");
  for (const DeviceProjection& projection : layer.projections) {
    LOCKSTEP_TRY(linear(projection.matrix, input, workspace_.projected + projection.first_column,
                        shapes_.qkv_columns, LinearResult::kFold),
                 "projection");
  }
  const int heads = shapes_.heads.size();
  const cuda::KvTiles& cache = cache_[static_cast<std::size_t>(index)];
  const cuda::PrepareAttentionArgs prepare{workspace_.projected,
                                           shapes_.qkv_columns,
                                           layer.columns,
                                           tables_.cosines,
                                           tables_.sines,
                                           model().rotary_dims,
                                           padded_tokens(),
                                           heads,
                                           tables_.positions,
                                           cache,
                                           workspace_.queries,
                                           report(index, Operation::kKeysValues),
                                           report(index, Operation::kQueries)};
  LOCKSTEP_TRY(check(device_.operations.prepare_attention(prepare, stream_), "prepare attention"),
               "heads");
  const int group = model().query_group();
  cuda::AttentionArgs args{workspace_.queries,
                           tables_.positions,
                           cache,
                           workspace_.attended,
                           tables_.tiles,
                           tables_.shape.num_tiles,
                           heads,
                           group - shapes_.heads.begin % group,
                           group};
  args.num_tokens = padded_tokens();
  if (tables_.shape.split) {
    args.sums = workspace_.block_sums;
    args.states = workspace_.block_states;
    args.max_blocks = tables_.shape.max_blocks;
  }
  return check(device_.operations.attention(args, stream_), "attention");
}

Status DevicePass::wait(std::string_view what) {
  if (exchange_ != nullptr) return exchange_->wait(stream_);
  return check(device_.runtime.wait(stream_), what);
}

Status DevicePass::exchange_sums(int segments) {
  const int stride = shapes_.padded_dim();
  if (exchange_ != nullptr) {
    return exchange_->fold(
        {workspace_.sums, workspace_.gathered, workspace_.folded, num_tokens(), stride, stream_},
        segments_of_rank_);
  }
  const std::size_t outputs = size_of(num_tokens(), stride);
  sums_.resize(outputs * size_of(segments));
  folded_.resize(outputs);
  LOCKSTEP_TRY(check(device_.runtime.copy_out(sums_.data(), workspace_.sums,
                                              sums_.size() * sizeof(float), stream_),
                     "copy sums"),
               "exchange");
  LOCKSTEP_TRY(wait("run layers"), "exchange");
  LOCKSTEP_TRY(group_.fold_segments({sums_.data(), segments_of_rank_, outputs, folded_.data()}),
               "exchange");
  return check(
      device_.runtime.copy_in(workspace_.folded, folded_.data(), outputs * sizeof(float), stream_),
      "copy folded sums");
}

Status DevicePass::add_to_hidden(const WeightTiles& weight, const ActivationTiles& input) {
  const int dim = model().hidden_dim;
  if (group_.world_size() == 1) {
    return linear(weight, input, workspace_.hidden, dim, LinearResult::kAdd);
  }
  const int stride = shapes_.padded_dim();
  const bool leftmost = group_.rank() == 0;
  LOCKSTEP_TRY(linear(weight, input, workspace_.sums, stride,
                      leftmost ? LinearResult::kFold : LinearResult::kSegmentSums),
               "segment sums");
  LOCKSTEP_TRY(exchange_sums(leftmost ? 1 : shapes_.num_parts), "segment sums");
  return check(device_.operations.fold({workspace_.folded, 1, stride, workspace_.hidden,
                                        workspace_.hidden, dim, num_tokens(), dim},
                                       stream_),
               "add to the hidden state");
}

Status DevicePass::feed_forward(int index) {
  const DeviceLayer& layer = weights_.layer(index);
  const ActivationTiles input = codes(workspace_.hidden_codes, weights_.hidden_segments());
  const int width = shapes_.gated_width;
  LOCKSTEP_TRY(quantize({workspace_.hidden, model().hidden_dim, input,
                         report(index, Operation::kFfnInput), layer.ffn_norm}),
               "feed-forward input");
  if (layer.fused) {
    LOCKSTEP_TRY(linear(layer.gate, input, workspace_.gated, width, LinearResult::kSwiglu),
                 "gate and up");
  } else {
    LOCKSTEP_TRY(linear(layer.gate, input, workspace_.gate, width, LinearResult::kFold), "gate");
    LOCKSTEP_TRY(linear(layer.up, input, workspace_.up, width, LinearResult::kFold), "up");
    const cuda::SwigluArgs swiglu{workspace_.gate,  workspace_.up, width,           kPanelRows,
                                  workspace_.gated, width,         padded_tokens(), width};
    LOCKSTEP_TRY(check(device_.operations.swiglu(swiglu, stream_), "swiglu"), "feed-forward");
  }
  const ActivationTiles gated = codes(workspace_.gated_codes, weights_.gated_segments());
  LOCKSTEP_TRY(quantize({workspace_.gated, width, gated, report(index, Operation::kFfnActivation)}),
               "feed-forward activation");
  return add_to_hidden(layer.ffn_down, gated);
}

Status DevicePass::run_layer(int index) {
  LOCKSTEP_TRY(attend(index), "attention");
  const ActivationTiles attended = codes(workspace_.attended_codes, weights_.attended_segments());
  LOCKSTEP_TRY(quantize({workspace_.attended, shapes_.attended_width, attended,
                         report(index, Operation::kAttentionOutput)}),
               "attention output");
  LOCKSTEP_TRY(add_to_hidden(weights_.layer(index).attn_output, attended), "attention output");
  return feed_forward(index);
}

Status DevicePass::enqueue_layers(int first, int last) {
  for (int index = first; index < last; ++index) {
    LOCKSTEP_TRY(run_layer(index), "layer " + std::to_string(index));
  }
  return {};
}

Status DevicePass::run_graph() {
  auto found = graphs_.find(tables_.shape);
  if (found == graphs_.end()) {
    LOCKSTEP_TRY(check(device_.runtime.begin_recording(stream_), "begin a graph"), "graph");
    const Status enqueued = enqueue_layers(0, model().num_layers);
    cuda::DeviceGraph graph = nullptr;
    const Status ended = check(device_.runtime.end_recording(stream_, &graph), "end a graph");
    LOCKSTEP_TRY(enqueued, "graph");
    LOCKSTEP_TRY(ended, "graph");
    found = graphs_.emplace(tables_.shape, graph).first;
  }
  return check(device_.runtime.run_graph(found->second, stream_), "run a graph");
}

Status DevicePass::run_layers(int first, int last) {
  for (int index = first; index < last; ++index) {
    counts_.multiply_adds += size_of(num_tokens()) * multiply_adds(shard_.layer(index));
    counts_.linear_calls += linear_calls(weights_.layer(index));
  }
  const bool whole = first == 0 && last == model().num_layers;
  const bool few = padded_tokens() <= kMostRoundedTokens;
  return use_graphs_ && whole && few ? run_graph() : enqueue_layers(first, last);
}

Result<std::span<const float>> DevicePass::hidden_of(int token) {
  const int dim = model().hidden_dim;
  hidden_row_.resize(size_of(dim));
  LOCKSTEP_TRY(
      check(device_.runtime.copy_out(hidden_row_.data(), workspace_.hidden + size_of(token, dim),
                                     hidden_row_.size() * sizeof(float), stream_),
            "copy"),
      "hidden state");
  LOCKSTEP_TRY(wait("run layers"), "hidden state");
  return std::span<const float>(hidden_row_);
}

// Logits of the `count` wanted tokens from `begin` on.
Status DevicePass::head_rows(int begin, int count) {
  const int dim = model().hidden_dim;
  ActivationTiles input = workspace_.head_codes;
  input.segments = weights_.hidden_segments();
  input.num_tokens = count;
  cuda::QuantizeArgs args{workspace_.hidden, dim, dim, input,
                          report(model().num_layers, Operation::kHeadInput)};
  args.report.sequences = tables_.logit_sequences + begin;
  args.rows = tables_.logit_rows + begin;
  args.norm_weight = weights_.output_norm();
  args.epsilon = model().rms_epsilon;
  LOCKSTEP_TRY(check(device_.operations.quantize(args, stream_), "quantize"), "head");
  const int stride = shapes_.vocab_columns();
  LOCKSTEP_TRY(linear(weights_.head(), input, workspace_.logits, stride, LinearResult::kFold),
               "head");
  ++counts_.linear_calls;
  const int vocab = shapes_.vocab.size();
  const int at_once = vocab == stride ? count : 1;  // Rows; the padding of the last panel stays.
  for (int i = 0; i < count; i += at_once) {
    LOCKSTEP_TRY(check(device_.runtime.copy_out(logits_.data() + size_of(begin + i, vocab),
                                                workspace_.logits + size_of(i, stride),
                                                size_of(at_once, vocab) * sizeof(float), stream_),
                       "copy logits"),
                 "head");
  }
  return {};
}

Result<std::span<const float>> DevicePass::run_head() {
  const auto wanted = static_cast<int>(batch_->logit_tokens.size());
  logits_.resize(size_of(wanted, shapes_.vocab.size()));
  for (int begin = 0; begin < wanted && shapes_.vocab.size() > 0; begin += kHeadRows) {
    LOCKSTEP_TRY(head_rows(begin, std::min(kHeadRows, wanted - begin)), "logits");
  }
  flags_.resize(batch_->tables.size());
  LOCKSTEP_TRY(check(device_.runtime.copy_out(flags_.data(), workspace_.flags,
                                              flags_.size() * sizeof(std::uint32_t), stream_),
                     "copy flags"),
               "step");
  LOCKSTEP_TRY(wait("run the step"), "step");
  counts_.multiply_adds += size_of(wanted) * head_multiply_adds_;
  ++counts_.steps;
  return std::span<const float>(logits_);
}

std::vector<std::uint32_t> DevicePass::non_finite_codes() const {
  std::vector<std::uint32_t> codes = flags_;
  for (std::uint32_t& code : codes) code = code == ~std::uint32_t{0} ? 0 : code;
  return codes;
}

}  // namespace lockstep
