#include "worker/runner/forward_pass.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"

namespace lockstep {

using kernels::MatrixView;

enum class ForwardPass::Operation : std::uint32_t {
  kAttentionInput,
  kKeysValues,
  kQueries,
  kAttentionOutput,
  kFfnInput,
  kFfnActivation,
  kHeadInput,  // Behind all layers.
  kCount,
};

std::string NonFinite::description(int num_layers) const {
  static constexpr const char* kNames[] = {
      "attention input",    "keys and values",         "queries",   "attention output",
      "feed-forward input", "feed-forward activation", "head input"};
  constexpr std::uint32_t kOperations = std::size(kNames);
  const std::uint32_t layer = (code - 1) / kOperations;
  const char* name = kNames[(code - 1) % kOperations];
  if (layer >= static_cast<std::uint32_t>(num_layers)) return name;
  return "layer " + std::to_string(layer) + ", " + name;
}

ForwardPass::ForwardPass(const ModelShard& shard, std::span<const Range> runs, Communicator& group,
                         const RunnerConfig& config, KvCache cache)
    : shard_(shard),
      runs_(runs),
      backend_(*config.backend),
      group_(group),
      pool_(config.threads, config.pin_threads),
      rope_(shard.config().rope_frequencies),
      cache_(std::move(cache)),
      head_size_(shard.config().head_size),
      padded_dim_(round_up(shard.config().hidden_dim, kPanelRows)) {
  for (const Range& run : runs) parts_of_rank_.push_back(run.size());
}

float* ForwardPass::row(std::vector<float>& of, std::size_t token, int num_heads) const {
  return of.data() + token * static_cast<std::size_t>(num_heads * head_size_);
}

std::span<const float> ForwardPass::hidden_of(int token) const {
  const auto dim = static_cast<std::size_t>(model().hidden_dim);
  return std::span(hidden_).subspan(static_cast<std::size_t>(token) * dim, dim);
}

std::vector<std::uint32_t> ForwardPass::non_finite_codes() const {
  std::vector<std::uint32_t> codes;
  for (const auto& flag : flags_) codes.push_back(flag.load(std::memory_order_relaxed));
  return codes;
}

void ForwardPass::flag(std::size_t token, int layer, Operation operation) {
  const std::uint32_t code =
      1 + static_cast<std::uint32_t>(layer) * static_cast<std::uint32_t>(Operation::kCount) +
      static_cast<std::uint32_t>(operation);
  auto& target = flags_[static_cast<std::size_t>(batch_->tokens[token].sequence)];
  std::uint32_t seen = target.load(std::memory_order_relaxed);
  while ((seen == 0 || code < seen) &&
         !target.compare_exchange_weak(seen, code, std::memory_order_relaxed)) {
  }
}

Status ForwardPass::begin(const StepBatch& batch) {
  batch_ = &batch;
  const std::size_t tokens = num_tokens();
  const auto dim = static_cast<std::size_t>(model().hidden_dim);
  const auto heads = static_cast<std::size_t>(shard_.heads().size() * head_size_);
  const auto kv_heads = static_cast<std::size_t>(shard_.kv_heads().size() * head_size_);
  const auto half = static_cast<std::size_t>(rope_.half());
  hidden_.resize(tokens * dim);
  normed_.resize(tokens * dim);
  queries_.resize(tokens * heads);
  attended_.resize(tokens * heads);
  keys_.resize(tokens * kv_heads);
  values_.resize(tokens * kv_heads);
  folded_.resize(tokens * static_cast<std::size_t>(padded_dim_));
  sums_.resize(folded_.size() * static_cast<std::size_t>(shard_.run().size()));
  flags_ = std::vector<std::atomic<std::uint32_t>>(batch.tables.size());

  std::uint32_t positions = 0;
  for (const BatchToken& token : batch.tokens) positions = std::max(positions, token.position + 1);
  rope_.grow(positions);
  cosines_.resize(tokens * half);
  sines_.resize(tokens * half);
  std::vector<int> owners;
  std::vector<std::size_t> counts(runs_.size(), 0);
  std::vector<float> mine;
  for (std::size_t t = 0; t < tokens; ++t) {
    const BatchToken& token = batch.tokens[t];
    std::copy_n(rope_.cosines(token.position), half, cosines_.data() + t * half);
    std::copy_n(rope_.sines(token.position), half, sines_.data() + t * half);
    const auto id = static_cast<int>(token.token);
    const auto owner = std::ranges::find_if(
        runs_, [&](Range run) { return vocab_of(shard_.parts(), run).contains(id); });
    owners.push_back(static_cast<int>(owner - runs_.begin()));
    counts[static_cast<std::size_t>(owners.back())] += dim;
    if (owners.back() != group_.rank()) continue;
    for (const VocabRows& rows : shard_.embedding()) {
      const std::int32_t index = id - rows.first_row;
      if (index < 0 || index >= rows.matrix.rows) continue;
      mine.resize(mine.size() + dim);
      backend_.embed({rows.matrix, &index, mine.data() + mine.size() - dim, model().hidden_dim, 1});
    }
  }
  std::vector<float> all(tokens * dim);
  LOCKSTEP_TRY(group_.gather(mine, counts, all, kAllRanks), "embedding");
  // Rows arrive by rank, each rank's in the order of the batch.
  std::vector<std::size_t> next(runs_.size(), 0);
  for (std::size_t r = 1; r < next.size(); ++r) next[r] = next[r - 1] + counts[r - 1];
  for (std::size_t t = 0; t < tokens; ++t) {
    std::size_t& from = next[static_cast<std::size_t>(owners[t])];
    std::copy_n(all.data() + from, dim, hidden_.data() + t * dim);
    from += dim;
  }
  return {};
}

void ForwardPass::norm(std::vector<float>& values, const float* weight) {
  const int dim = model().hidden_dim;
  const auto rows = static_cast<std::int64_t>(values.size()) / dim;
  pool_.split(rows, [&](std::int64_t begin, std::int64_t end) {
    backend_.rms_norm({values.data() + begin * dim, weight, normed_.data() + begin * dim,
                       static_cast<int>(end - begin), dim, model().rms_epsilon});
  });
}

void ForwardPass::quantize(const QuantizedInput& q, ActivationBuffer& out) {
  out.reshape(static_cast<int>(num_tokens()), q.k, q.segment_groups, model().activation_bits);
  pool_.split(static_cast<std::int64_t>(num_tokens()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {  // One by one: a bad token is found by name.
      const int token = static_cast<int>(t);
      if (!backend_.quantize({q.values, q.stride, q.k, out.view(), token, token + 1})) {
        out.clear_token(token);
        flag(static_cast<std::size_t>(t), q.layer, q.operation);
      }
    }
  });
}

void ForwardPass::linear(const MatrixView& matrix, const ActivationBuffer& input, float* output,
                         int stride) {
  pool_.split(matrix.panels(), [&](std::int64_t begin, std::int64_t end) {
    backend_.linear(
        {matrix, input.view(), output, stride, static_cast<int>(begin), static_cast<int>(end)});
  });
  counts_.multiply_adds += static_cast<std::uint64_t>(input.view().num_tokens) *
                           static_cast<std::uint64_t>(matrix.rows) *
                           static_cast<std::uint64_t>(matrix.k);
  ++counts_.linear_calls;
}

// Copies the rows of a linear's output to the queries, keys and values that they are.
void ForwardPass::distribute_heads(const HeadMatrix& qkv, int stride) {
  for (const HeadRows& rows : qkv.rows) {
    const bool query = rows.role == HeadRows::Role::kQuery;
    std::vector<float>& target =
        query ? queries_ : (rows.role == HeadRows::Role::kKey ? keys_ : values_);
    const int heads = query ? shard_.heads().size() : shard_.kv_heads().size();
    for (std::size_t t = 0; t < num_tokens(); ++t) {
      std::copy_n(linear_output_.data() + t * static_cast<std::size_t>(stride) + rows.first_row,
                  rows.num_heads * head_size_,
                  row(target, t, heads) + rows.first_head * head_size_);
    }
  }
}

void ForwardPass::project_qkv(const LayerShard& layer, int index) {
  norm(hidden_, layer.attn_norm);
  quantize({index, Operation::kAttentionInput, normed_.data(), model().hidden_dim,
            model().hidden_dim, kFoldSegment / kGroupSize},
           activations_);
  for (const HeadMatrix& qkv : layer.qkv) {
    const int stride = qkv.matrix.panels() * kPanelRows;
    linear_output_.resize(num_tokens() * static_cast<std::size_t>(stride));
    linear(qkv.matrix, activations_, linear_output_.data(), stride);
    distribute_heads(qkv, stride);
  }
}

// Rotates queries and keys, and puts keys and values into the cache.
void ForwardPass::append_keys(int layer) {
  const int heads = shard_.heads().size();
  const int kv_heads = shard_.kv_heads().size();
  const auto half = static_cast<std::size_t>(rope_.half());
  const kernels::KvCacheView cache = cache_.layer(layer);
  pool_.split(static_cast<std::int64_t>(num_tokens()), [&](std::int64_t begin, std::int64_t end) {
    for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
      const BatchToken& token = batch_->tokens[t];
      const float* cosines = cosines_.data() + t * half;
      const float* sines = sines_.data() + t * half;
      backend_.rope({row(queries_, t, heads), heads * head_size_, cosines, sines, 1, heads,
                     head_size_, model().rotary_dims});
      backend_.rope({row(keys_, t, kv_heads), kv_heads * head_size_, cosines, sines, 1, kv_heads,
                     head_size_, model().rotary_dims});
      const auto& table = *batch_->tables[static_cast<std::size_t>(token.sequence)];
      const bool finite = backend_.append_kv({row(keys_, t, kv_heads), row(values_, t, kv_heads),
                                              cache, table[token.position / kBlockTokens],
                                              static_cast<int>(token.position % kBlockTokens)});
      if (!finite) flag(t, layer, Operation::kKeysValues);
    }
  });
}

// Every query against its own sequence. The unit of work is a (token, query head), so that one
// token uses every thread.
void ForwardPass::attend(int layer) {
  const int heads = shard_.heads().size();
  const int query_group = model().query_group();
  pool_.split(
      static_cast<std::int64_t>(num_tokens()) * heads, [&](std::int64_t begin, std::int64_t end) {
        while (begin < end) {
          const auto t = static_cast<std::size_t>(begin / heads);
          const int first = static_cast<int>(begin % heads);
          const int last = static_cast<int>(std::min<std::int64_t>(heads, first + end - begin));
          const int head = shard_.heads().begin + first;
          const BatchToken& token = batch_->tokens[t];
          kernels::AttentionArgs args{};
          args.queries = row(queries_, t, heads) + first * head_size_;
          args.output = row(attended_, t, heads) + first * head_size_;
          args.cache = cache_.layer(layer);
          args.block_table = batch_->tables[static_cast<std::size_t>(token.sequence)]->data();
          args.position = static_cast<int>(token.position);
          args.num_heads = last - first;
          args.first_kv_head = head / query_group - shard_.kv_heads().begin;
          args.first_group_left = query_group - head % query_group;
          args.query_group = query_group;
          if (!backend_.attention(args)) flag(t, layer, Operation::kQueries);
          begin += last - first;
        }
      });
}

// hidden += the left fold of all segment sums of all ranks.
Status ForwardPass::fold_into_hidden() {
  LOCKSTEP_TRY(group_.fold_segments({sums_.data(), parts_of_rank_, folded_.size(), folded_.data()}),
               "segment sums");
  const int dim = model().hidden_dim;
  pool_.split(static_cast<std::int64_t>(num_tokens()), [&](std::int64_t begin, std::int64_t end) {
    backend_.add({hidden_.data() + begin * dim, folded_.data() + begin * padded_dim_, padded_dim_,
                  static_cast<int>(end - begin), dim});
  });
  return {};
}

void ForwardPass::feed_forward(const LayerShard& layer, int index) {
  norm(hidden_, layer.ffn_norm);
  quantize({index, Operation::kFfnInput, normed_.data(), model().hidden_dim, model().hidden_dim,
            kFoldSegment / kGroupSize},
           activations_);
  for (std::size_t p = 0; p < layer.gate_up.size(); ++p) {
    const GateUp& gate_up = layer.gate_up[p];
    const int width = gate_up.width;
    const int stride = 2 * width;  // Fused: panels alternate. Apart: gate, then up.
    linear_output_.resize(num_tokens() * static_cast<std::size_t>(stride));
    gated_.resize(num_tokens() * static_cast<std::size_t>(width));
    linear(gate_up.gate, activations_, linear_output_.data(), stride);
    if (!gate_up.fused) linear(gate_up.up, activations_, linear_output_.data() + width, stride);
    pool_.split(static_cast<std::int64_t>(num_tokens()), [&](std::int64_t begin, std::int64_t end) {
      const float* gate = linear_output_.data() + begin * stride;
      backend_.swiglu({gate, gate + (gate_up.fused ? kPanelRows : width), stride,
                       gate_up.fused ? 2 * kPanelRows : kPanelRows, gated_.data() + begin * width,
                       width, static_cast<int>(end - begin), width});
    });
    const MatrixView& down = layer.ffn_down[p];
    quantize({index, Operation::kFfnActivation, gated_.data(), width, width, down.groups()},
             inner_activations_);
    linear(down, inner_activations_, sums_.data() + p * folded_.size(), padded_dim_);
  }
}

Status ForwardPass::run_layer(int index) {
  const LayerShard& layer = shard_.layer(index);
  project_qkv(layer, index);
  append_keys(index);
  attend(index);
  int first = 0;
  for (std::size_t p = 0; p < layer.attn_output.size(); ++p) {
    const MatrixView& output = layer.attn_output[p];
    quantize({index, Operation::kAttentionOutput, attended_.data() + first,
              shard_.heads().size() * head_size_, output.k, output.groups()},
             inner_activations_);
    linear(output, inner_activations_, sums_.data() + p * folded_.size(), padded_dim_);
    first += output.k;
  }
  LOCKSTEP_TRY(fold_into_hidden(), "attention of layer " + std::to_string(index));
  feed_forward(layer, index);
  LOCKSTEP_TRY(fold_into_hidden(), "feed-forward of layer " + std::to_string(index));
  return {};
}

std::span<const float> ForwardPass::run_head() {
  const auto dim = static_cast<std::size_t>(model().hidden_dim);
  const std::size_t wanted = batch_->logit_tokens.size();
  std::vector<float> last(wanted * dim);
  for (std::size_t i = 0; i < wanted; ++i) {
    std::ranges::copy(hidden_of(batch_->logit_tokens[i]),
                      last.begin() + static_cast<std::ptrdiff_t>(i * dim));
  }
  norm(last, shard_.output_norm());
  // The head's activations are always 16-bit: it runs only where a token is sampled.
  activations_.reshape(static_cast<int>(wanted), model().hidden_dim, kFoldSegment / kGroupSize, 16);
  for (std::size_t i = 0; i < wanted; ++i) {
    const int row = static_cast<int>(i);
    if (!backend_.quantize({normed_.data(), model().hidden_dim, model().hidden_dim,
                            activations_.view(), row, row + 1})) {
      activations_.clear_token(row);
      flag(static_cast<std::size_t>(batch_->logit_tokens[i]), model().num_layers,
           Operation::kHeadInput);
    }
  }
  const auto vocab = static_cast<std::size_t>(shard_.vocab().size());
  logits_.resize(wanted * vocab);
  for (const VocabRows& rows : shard_.head()) {
    const int stride = rows.matrix.panels() * kPanelRows;
    linear_output_.resize(wanted * static_cast<std::size_t>(stride));
    linear(rows.matrix, activations_, linear_output_.data(), stride);
    for (std::size_t i = 0; i < wanted; ++i) {
      std::copy_n(linear_output_.data() + i * static_cast<std::size_t>(stride), rows.matrix.rows,
                  logits_.data() + i * vocab +
                      static_cast<std::size_t>(rows.first_row - shard_.vocab().begin));
    }
  }
  return logits_;
}

}  // namespace lockstep
