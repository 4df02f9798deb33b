#include "worker/runner/forward_pass.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"
#include "worker/runner/embedding_exchange.h"

namespace lockstep {

using kernels::MatrixView;

namespace {

int padded_rows(const MatrixView& matrix) { return matrix.panels() * kPanelRows; }
bool has_padding(const MatrixView& matrix) { return matrix.rows != padded_rows(matrix); }

}  // namespace

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
      pool_(config.threads, config.placement),
      sharing_(config.threads),
      rope_(shard.config().rope_frequencies),
      cache_(std::move(cache)),
      head_size_(shard.config().head_size),
      padded_dim_(round_up(shard.config().hidden_dim, kPanelRows)),
      folds_own_(group.rank() == 0) {
  for (const Range& run : runs) segments_of_rank_.push_back(run.size());
  segments_of_rank_[0] = 1;
  for (const GateUp& part : shard.layer(0).gate_up) {
    gated_columns_.push_back(gated_width_);
    gated_width_ += part.width;
  }
  // Which rows of queries, keys and values are one matrix depends on the formats of the layer.
  for (int index = 0; index < shard.config().num_layers; ++index) {
    const std::vector<HeadMatrix>& qkv = shard.layer(index).qkv;
    qkv_rows_.resize(std::max(qkv_rows_.size(), qkv.size()));
    for (std::size_t i = 0; i < qkv.size(); ++i) {
      qkv_rows_[i] = std::max(qkv_rows_[i], static_cast<std::size_t>(padded_rows(qkv[i].matrix)));
    }
  }
  qkv_.resize(qkv_rows_.size());
  gate_up_.resize(static_cast<std::size_t>(config.threads));
  for (int i = 0; i < config.threads; ++i) workspaces_.push_back(std::make_unique<Workspace>());
}

float* ForwardPass::row(std::vector<float>& of, std::size_t token, int num_heads) const {
  return of.data() + token * static_cast<std::size_t>(num_heads * head_size_);
}

std::span<const float> ForwardPass::hidden_row(int token) const {
  const auto dim = static_cast<std::size_t>(model().hidden_dim);
  return std::span(workspaces_[0]->hidden).subspan(static_cast<std::size_t>(token) * dim, dim);
}

std::vector<std::uint32_t> ForwardPass::non_finite_codes() const {
  std::vector<std::uint32_t> codes;
  for (const auto& flag : flags_) codes.push_back(flag.load(std::memory_order_relaxed));
  return codes;
}

void ForwardPass::flag(std::size_t token, int layer, Operation operation) {
  const std::uint32_t code = non_finite_code(layer, operation);
  auto& target = flags_[static_cast<std::size_t>(batch_->tokens[token].sequence)];
  std::uint32_t seen = target.load(std::memory_order_relaxed);
  while ((seen == 0 || code < seen) &&
         !target.compare_exchange_weak(seen, code, std::memory_order_relaxed)) {
  }
}

void ForwardPass::size_workspace(Workspace& workspace) const {
  const std::size_t values = num_tokens() * static_cast<std::size_t>(model().hidden_dim);
  const auto tokens = static_cast<int>(num_tokens());
  const int bits = model().activation_bits;
  workspace.hidden.resize(values);
  workspace.normed.resize(values);
  constexpr int kSegmentGroups = kFoldSegment / kGroupSize;
  workspace.activations.reshape(tokens, model().hidden_dim, kSegmentGroups, bits);
  const LayerShard& layer =
      shard_.layer(0);  // Formats differ from layer to layer, these shapes do not.
  workspace.attended.resize(layer.attn_output.size());
  workspace.gated.resize(layer.ffn_down.size());
  for (std::size_t p = 0; p < layer.attn_output.size(); ++p) {
    const MatrixView& output = layer.attn_output[p];
    const MatrixView& down = layer.ffn_down[p];
    workspace.attended[p].reshape(tokens, output.k, output.groups(), bits);
    workspace.gated[p].reshape(tokens, down.k, down.groups(), bits);
  }
}

void ForwardPass::size_buffers() {
  const std::size_t tokens = num_tokens();
  const auto heads = static_cast<std::size_t>(shard_.heads().size() * head_size_);
  const auto kv_heads = static_cast<std::size_t>(shard_.kv_heads().size() * head_size_);
  const auto members = static_cast<std::size_t>(pool_.num_threads());
  share_tokens_ = members > 1 && tokens >= 2 * members;
  for (std::size_t m = 0; m < (share_tokens_ ? 1 : members); ++m) size_workspace(*workspaces_[m]);
  for (std::size_t i = 0; i < qkv_.size(); ++i) qkv_[i].resize(tokens * qkv_rows_[i]);
  queries_.resize(tokens * heads);
  attended_.resize(tokens * heads);
  keys_.resize(tokens * kv_heads);
  values_.resize(tokens * kv_heads);
  gated_.resize(tokens * static_cast<std::size_t>(gated_width_));
  const std::size_t outputs = tokens * static_cast<std::size_t>(padded_dim_);
  sums_.resize(outputs * static_cast<std::size_t>(folds_own_ ? 1 : shard_.run().size()));
  if (group_.world_size() > 1) folded_.resize(outputs);
  flags_ = std::vector<std::atomic<std::uint32_t>>(batch_->tables.size());
  plan_attention();

  std::uint32_t positions = 0;
  for (const BatchToken& token : batch_->tokens)
    positions = std::max(positions, token.position + 1);
  rope_.grow(positions);
  const auto half = static_cast<std::size_t>(rope_.half());
  cosines_.resize(tokens * half);
  sines_.resize(tokens * half);
  for (std::size_t t = 0; t < tokens; ++t) {
    std::copy_n(rope_.cosines(batch_->tokens[t].position), half, cosines_.data() + t * half);
    std::copy_n(rope_.sines(batch_->tokens[t].position), half, sines_.data() + t * half);
  }
}

Status ForwardPass::embed() {
  const auto dim = static_cast<std::size_t>(model().hidden_dim);
  const EmbeddingExchange exchange(*batch_, runs_, shard_.parts(), group_.rank());
  std::vector<float> mine;
  for (const std::int32_t id : exchange.own_tokens()) {
    for (const VocabRows& rows : shard_.embedding()) {
      const std::int32_t index = id - rows.first_row;
      if (index < 0 || index >= rows.matrix.rows) continue;
      mine.resize(mine.size() + dim);
      backend_.embed({rows.matrix, &index, mine.data() + mine.size() - dim, model().hidden_dim, 1});
    }
  }
  LOCKSTEP_TRY(exchange.exchange(group_, mine, model().hidden_dim, workspaces_[0]->hidden),
               "embedding");
  if (share_tokens_) return {};
  for (std::size_t m = 1; m < workspaces_.size(); ++m) {
    workspaces_[m]->hidden = workspaces_[0]->hidden;
  }
  return {};
}

Status ForwardPass::begin(const StepBatch& batch) {
  batch_ = &batch;
  size_buffers();
  return embed();
}

Range ForwardPass::tokens_of(int member) const {
  const auto tokens = static_cast<int>(num_tokens());
  return share_tokens_ ? share_of(tokens, member, pool_.num_threads()) : Range{0, tokens};
}

void ForwardPass::finish_tokens() {
  if (share_tokens_) pool_.barrier();
}

void ForwardPass::quantize(const QuantizedInput& q, Range tokens, ActivationBuffer& out) {
  for (int t = tokens.begin; t < tokens.end; ++t) {  // One by one: a bad token is found by name.
    if (!backend_.quantize({q.values, q.stride, q.k, out.view(), t, t + 1})) {
      out.clear_token(t);
      flag(static_cast<std::size_t>(t), q.layer, q.operation);
    }
  }
}

void ForwardPass::count_linear(const MatrixView& matrix, std::size_t tokens) {
  counts_.multiply_adds +=
      tokens * static_cast<std::uint64_t>(matrix.rows) * static_cast<std::uint64_t>(matrix.k);
  ++counts_.linear_calls;
}

void ForwardPass::norm_input(int member, const float* weight, int layer, Operation operation) {
  Workspace& work = workspace(member);
  const Range tokens = tokens_of(member);
  const int dim = model().hidden_dim;
  const std::ptrdiff_t first = std::ptrdiff_t{tokens.begin} * dim;
  backend_.rms_norm({work.hidden.data() + first, weight, work.normed.data() + first, tokens.size(),
                     dim, model().rms_epsilon});
  quantize({layer, operation, work.normed.data(), dim, dim}, tokens, work.activations);
  finish_tokens();
}

void ForwardPass::project_qkv(int member, const LayerShard& layer) {
  const kernels::Activations& input = workspace(member).activations.view();
  const auto panels = [&](int i) { return layer.qkv[static_cast<std::size_t>(i)].matrix.panels(); };
  share_lists(member, static_cast<int>(layer.qkv.size()), panels, [&](int list, Range share) {
    const auto i = static_cast<std::size_t>(list);
    const MatrixView& matrix = layer.qkv[i].matrix;
    backend_.linear({matrix, input, qkv_[i].data(), padded_rows(matrix), share.begin, share.end});
  });
  if (member != 0) return;
  for (const HeadMatrix& qkv : layer.qkv) count_linear(qkv.matrix, num_tokens());
}

// Copies the rows of the linears' outputs to the queries, keys and values that they are.
void ForwardPass::distribute_heads(std::size_t token, const LayerShard& layer) {
  for (std::size_t i = 0; i < layer.qkv.size(); ++i) {
    const auto stride = static_cast<std::size_t>(padded_rows(layer.qkv[i].matrix));
    for (const HeadRows& rows : layer.qkv[i].rows) {
      const bool query = rows.role == HeadRows::Role::kQuery;
      std::vector<float>& target =
          query ? queries_ : (rows.role == HeadRows::Role::kKey ? keys_ : values_);
      const int heads = query ? shard_.heads().size() : shard_.kv_heads().size();
      std::copy_n(qkv_[i].data() + token * stride + rows.first_row, rows.num_heads * head_size_,
                  row(target, token, heads) + rows.first_head * head_size_);
    }
  }
}

// The segment sums of a matrix that is cut along K. A thread has the same rows of every part.
void ForwardPass::project_parts(int member, const std::vector<MatrixView>& parts,
                                const std::vector<ActivationBuffer>& inputs) {
  const std::size_t outputs = num_tokens() * static_cast<std::size_t>(padded_dim_);
  share_panels(member, padded_dim_ / kPanelRows, [&](Range panels) {
    for (std::size_t p = 0; p < parts.size(); ++p) {
      float* output = sums_.data() + (folds_own_ ? 0 : p * outputs);
      backend_.linear({parts[p], inputs[p].view(), output, padded_dim_, panels.begin, panels.end,
                       folds_own_ && p > 0});
    }
  });
  if (member != 0) return;
  for (const MatrixView& part : parts) count_linear(part, num_tokens());
}

// hidden += the left fold of all segment sums of all ranks.
void ForwardPass::add_to_hidden(int member) {
  pool_.barrier();
  const bool alone = group_.world_size() == 1;
  if (!alone) {
    if (member == 0) {
      failure_ =
          group_.fold_segments({sums_.data(), segments_of_rank_, folded_.size(), folded_.data()});
    }
    pool_.barrier();
    if (!failure_.ok()) return;
  }
  const Range tokens = tokens_of(member);
  const float* folded =
      (alone ? sums_ : folded_).data() + std::ptrdiff_t{tokens.begin} * padded_dim_;
  const int dim = model().hidden_dim;
  backend_.add({workspace(member).hidden.data() + std::ptrdiff_t{tokens.begin} * dim, folded,
                padded_dim_, tokens.size(), dim});
}

// Panels [begin, end) of gate and up of one part, and SwiGLU on what comes out, for so many tokens
// at once that it is still in the cache.
void ForwardPass::gate_up_part(const GateUp& part, Range panels, int member, int column) {
  constexpr int kBlock = 64;
  const auto tokens = static_cast<int>(num_tokens());
  const int stride = 2 * part.width;  // Fused: panels alternate. Apart: gate, then up.
  std::vector<float>& output = gate_up_[static_cast<std::size_t>(member)];
  output.resize(static_cast<std::size_t>(std::min(kBlock, tokens)) *
                static_cast<std::size_t>(stride));
  const ActivationBuffer& activations = workspace(member).activations;
  const int first = panels.begin * kPanelRows;
  for (int begin = 0; begin < tokens; begin += kBlock) {
    const int end = std::min(tokens, begin + kBlock);
    const kernels::Activations input = activations.view(begin, end);
    const float* gate = output.data() + (part.fused ? 2 * first : first);
    if (part.fused) {
      backend_.linear({part.gate, input, output.data(), stride, 2 * panels.begin, 2 * panels.end});
    } else {
      backend_.linear({part.gate, input, output.data(), stride, panels.begin, panels.end});
      backend_.linear(
          {part.up, input, output.data() + part.width, stride, panels.begin, panels.end});
    }
    backend_.swiglu({gate, gate + (part.fused ? kPanelRows : part.width), stride,
                     part.fused ? 2 * kPanelRows : kPanelRows,
                     gated_.data() + std::ptrdiff_t{begin} * gated_width_ + column + first,
                     gated_width_, end - begin, panels.size() * kPanelRows});
  }
}

void ForwardPass::gate_up(int member, const LayerShard& layer) {
  const auto part_of = [&](int p) -> const GateUp& {
    return layer.gate_up[static_cast<std::size_t>(p)];
  };
  const auto panels_of = [&](int p) { return part_of(p).width / kPanelRows; };
  share_lists(member, static_cast<int>(layer.gate_up.size()), panels_of, [&](int p, Range panels) {
    gate_up_part(part_of(p), panels, member, gated_columns_[static_cast<std::size_t>(p)]);
  });
  if (member != 0) return;
  for (const GateUp& part : layer.gate_up) {
    count_linear(part.gate, num_tokens());
    if (!part.fused) count_linear(part.up, num_tokens());
  }
}

void ForwardPass::run_layer(int member, int index) {
  const LayerShard& layer = shard_.layer(index);
  Workspace& work = workspace(member);
  const Range tokens = tokens_of(member);
  norm_input(member, layer.attn_norm, index, Operation::kAttentionInput);
  project_qkv(member, layer);
  pool_.barrier();
  append_keys(member, index);
  pool_.barrier();
  attend(member, index);
  pool_.barrier();
  int column = 0;
  for (std::size_t p = 0; p < layer.attn_output.size(); ++p) {
    const int k = layer.attn_output[p].k;
    quantize({index, Operation::kAttentionOutput, attended_.data() + column,
              shard_.heads().size() * head_size_, k},
             tokens, work.attended[p]);
    column += k;
  }
  finish_tokens();
  project_parts(member, layer.attn_output, work.attended);
  add_to_hidden(member);
  if (!failure_.ok()) return;

  norm_input(member, layer.ffn_norm, index, Operation::kFfnInput);
  gate_up(member, layer);
  pool_.barrier();
  for (std::size_t p = 0; p < layer.ffn_down.size(); ++p) {
    quantize({index, Operation::kFfnActivation, gated_.data() + gated_columns_[p], gated_width_,
              layer.gate_up[p].width},
             tokens, work.gated[p]);
  }
  finish_tokens();
  project_parts(member, layer.ffn_down, work.gated);
  add_to_hidden(member);
}

Status ForwardPass::run_layers(int first, int last) {
  failure_ = {};
  pool_.run([&](int member) {
    for (int index = first; index < last && failure_.ok(); ++index) run_layer(member, index);
  });
  return failure_;
}

void ForwardPass::head(int member) {
  const auto dim = static_cast<std::size_t>(model().hidden_dim);
  const std::size_t wanted = batch_->logit_tokens.size();
  // Every thread norms for itself.
  std::vector<float> last(wanted * dim);
  std::vector<float> normed(wanted * dim);
  for (std::size_t i = 0; i < wanted; ++i) {
    std::ranges::copy(hidden_row(batch_->logit_tokens[i]),
                      last.begin() + static_cast<std::ptrdiff_t>(i * dim));
  }
  backend_.rms_norm({last.data(), shard_.output_norm(), normed.data(), static_cast<int>(wanted),
                     model().hidden_dim, model().rms_epsilon});
  ActivationBuffer& input = workspaces_[static_cast<std::size_t>(member)]->head_input;
  // Always 16-bit: the head runs only where a token is sampled.
  input.reshape(static_cast<int>(wanted), model().hidden_dim, kFoldSegment / kGroupSize, 16);
  for (std::size_t i = 0; i < wanted; ++i) {
    const int at = static_cast<int>(i);
    if (!backend_.quantize(
            {normed.data(), model().hidden_dim, model().hidden_dim, input.view(), at, at + 1})) {
      input.clear_token(at);
      flag(static_cast<std::size_t>(batch_->logit_tokens[i]), model().num_layers,
           Operation::kHeadInput);
    }
  }
  const auto vocab = static_cast<std::size_t>(shard_.vocab().size());
  const auto rows_of = [&](int i) -> const VocabRows& {
    return shard_.head()[static_cast<std::size_t>(i)];
  };
  share_lists(
      member, static_cast<int>(shard_.head().size()),
      [&](int i) { return rows_of(i).matrix.panels(); },
      [&](int list, Range panels) {
        const VocabRows& rows = rows_of(list);
        const auto column = static_cast<std::size_t>(rows.first_row - shard_.vocab().begin);
        if (!has_padding(rows.matrix)) {
          backend_.linear({rows.matrix, input.view(), logits_.data() + column,
                           shard_.vocab().size(), panels.begin, panels.end});
          return;
        }
        const int stride = padded_rows(rows.matrix);
        float* output = vocab_rows_[static_cast<std::size_t>(list)].data();
        backend_.linear({rows.matrix, input.view(), output, stride, panels.begin, panels.end});
        const int first = panels.begin * kPanelRows;
        const int count = std::min(rows.matrix.rows, panels.end * kPanelRows) - first;
        for (std::size_t i = 0; i < wanted; ++i) {
          std::copy_n(output + i * static_cast<std::size_t>(stride) + first, count,
                      logits_.data() + i * vocab + column + static_cast<std::size_t>(first));
        }
      });
}

Result<std::span<const float>> ForwardPass::run_head() {
  ++counts_.steps;
  const std::size_t wanted = batch_->logit_tokens.size();
  logits_.resize(wanted * static_cast<std::size_t>(shard_.vocab().size()));
  vocab_rows_.resize(shard_.head().size());
  for (std::size_t i = 0; i < vocab_rows_.size(); ++i) {
    const MatrixView& matrix = shard_.head()[i].matrix;
    if (has_padding(matrix)) {
      vocab_rows_[i].resize(wanted * static_cast<std::size_t>(padded_rows(matrix)));
    }
    count_linear(matrix, wanted);
  }
  if (wanted > 0) pool_.run([&](int member) { head(member); });
  return std::span<const float>(logits_);
}

}  // namespace lockstep
