// The check of attention: a batch of sequences through the device's cache and kernels, token by
// token through the reference's.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/device_kv_tiles.h"
#include "tests/kernels/cuda/device_support.h"

namespace lockstep::cuda {

using kernels::reference_backend;
using kernels::SplitMix;

namespace {

std::size_t size_of(int a, int b = 1, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// One sequence: its tokens in the cache and in the step, and where they are.
struct Sequence {
  int cached;
  int new_tokens;
  int first_row;  // Of `projected`, all tokens of the sequence.
  std::vector<std::int32_t> table;
};

class Batch {
 public:
  Batch(const AttentionCase& c, std::uint64_t seed) : case_(c), random_(seed) {
    kv_heads_ = 1 + (c.num_heads - c.first_group_left + c.query_group - 1) / c.query_group;
    kv_heads_ = std::max(kv_heads_, 1);
    lay_out();
    stride_ = (c.num_heads + 2 * kv_heads_) * c.head_size + 7;
    projected_ = random_.values(size_of(num_rows_, stride_));
    for (float& v : projected_) v *= 0.3F;
    rotary_dims_ = c.head_size / 4 * 2;
    cosines_ = random_.values(size_of(num_rows_, std::max(1, rotary_dims_ / 2)));
    sines_ = random_.values(size_of(num_rows_, std::max(1, rotary_dims_ / 2)));
    for (float& v : cosines_) v /= 32;
    for (float& v : sines_) v /= 32;
    lay_out_columns();
  }

  std::string check() {
    std::vector<float> expected = attend_by_reference();
    std::vector<float> actual;
    const std::string wrong = attend_on_device(&actual);
    return wrong.empty() ? kernels::first_difference(expected, actual) : wrong;
  }

 private:
  // Deals out the KV blocks in no order; some belong to no one.
  void lay_out() {
    int blocks = 3;
    for (const auto& [cached, new_tokens] : case_.sequences) {
      sequences_.push_back({cached, new_tokens, num_rows_, {}});
      num_rows_ += cached + new_tokens;
      blocks += (cached + new_tokens + kKvSlots - 1) / kKvSlots;
    }
    num_blocks_ = blocks;
    std::vector<std::int32_t> free(size_of(blocks));
    std::iota(free.begin(), free.end(), 0);
    for (int i = blocks - 1; i > 0; --i) {
      std::swap(free[size_of(i)], free[size_of(random_.below(i + 1))]);
    }
    for (Sequence& sequence : sequences_) {
      for (int t = 0; t < sequence.cached + sequence.new_tokens; t += kKvSlots) {
        sequence.table.push_back(free.back());
        free.pop_back();
      }
    }
  }

  // Heads in any order within a token.
  void lay_out_columns() {
    columns_.resize(size_of(case_.num_heads + 2 * kv_heads_));
    std::iota(columns_.begin(), columns_.end(), 0);
    for (std::size_t i = columns_.size() - 1; i > 0; --i) {
      std::swap(columns_[i], columns_[size_of(random_.below(static_cast<int>(i) + 1))]);
    }
    for (std::int32_t& column : columns_) column *= case_.head_size;
  }

  // Heads [first, first + count) of a token, side by side.
  std::vector<float> heads(int row, int first, int count) const {
    std::vector<float> gathered;
    for (int h = first; h < first + count; ++h) {
      const float* begin =
          projected_.data() + size_of(row, stride_) + size_of(columns_[size_of(h)]);
      gathered.insert(gathered.end(), begin, begin + case_.head_size);
    }
    return gathered;
  }

  void rotate(std::vector<float>& vectors, int row) const {
    const auto half = size_of(row, rotary_dims_ / 2);
    const int count = static_cast<int>(vectors.size()) / case_.head_size;
    reference_backend().rope({vectors.data(), static_cast<int>(vectors.size()),
                              cosines_.data() + half, sines_.data() + half, 1, count,
                              case_.head_size, rotary_dims_});
  }

  std::vector<float> attend_by_reference() {
    const int most = std::accumulate(
        sequences_.begin(), sequences_.end(), 0,
        [](int m, const Sequence& s) { return std::max(m, s.cached + s.new_tokens); });
    std::vector<float> output;
    for (const Sequence& sequence : sequences_) {
      kernels::StoredCache cache(random_, most, kv_heads_, case_.head_size, case_.kv_bits);
      for (int t = 0; t < sequence.cached + sequence.new_tokens; ++t) {
        const int row = sequence.first_row + t;
        std::vector<float> keys = heads(row, case_.num_heads, kv_heads_);
        rotate(keys, row);
        const auto values = heads(row, case_.num_heads + kv_heads_, kv_heads_);
        (void)reference_backend().append_kv({keys.data(), values.data(), cache.view(),
                                             cache.block_table()[size_of(t / kKvSlots)],
                                             t % kKvSlots});
        if (t < sequence.cached) continue;
        std::vector<float> queries = heads(row, 0, case_.num_heads);
        rotate(queries, row);
        std::vector<float> attended(queries.size());
        (void)reference_backend().attention({queries.data(), attended.data(), cache.view(),
                                             cache.block_table().data(), t, case_.num_heads, 0,
                                             case_.first_group_left, case_.query_group});
        output.insert(output.end(), attended.begin(), attended.end());
      }
    }
    return output;
  }

  // The tokens of one call of prepare_attention.
  struct Step {
    std::vector<float> projected, cosines, sines;
    std::vector<std::int32_t> positions, table_starts, tables;
    std::vector<AttentionTile> tiles;
  };

  // Tokens [begin, end) of each sequence, or all new ones.
  Step step(bool fresh, int tile_rows) const {
    Step made;
    for (const Sequence& sequence : sequences_) {
      const int begin = fresh ? sequence.cached : 0;
      const int end = sequence.cached + (fresh ? sequence.new_tokens : 0);
      const auto start = static_cast<std::int32_t>(made.tables.size());
      const auto first = static_cast<std::int32_t>(made.positions.size());
      made.tables.insert(made.tables.end(), sequence.table.begin(), sequence.table.end());
      for (int t = begin; t < end; ++t) {
        made.positions.push_back(t);
        made.table_starts.push_back(start);
        append(made.projected, projected_, sequence.first_row + t, stride_);
        append(made.cosines, cosines_, sequence.first_row + t, rotary_dims_ / 2);
        append(made.sines, sines_, sequence.first_row + t, rotary_dims_ / 2);
      }
      const int group = std::max(case_.query_group, case_.first_group_left);
      for (int row = 0; row < (end - begin) * group; row += tile_rows) {
        made.tiles.push_back({first, end - begin, row});
      }
    }
    return made;
  }

  static void append(std::vector<float>& to, const std::vector<float>& from, int row, int width) {
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(size_of(row, width));
    to.insert(to.end(), begin, begin + width);
  }

  std::string attend_on_device(std::vector<float>* output) {
    const std::size_t tile = kv_tile_bytes(case_.head_size, case_.kv_bits);
    const std::size_t heads = size_of(num_blocks_, kv_heads_);
    const auto keys = kernels::aligned_bytes(heads * tile);
    const auto values = kernels::aligned_bytes(heads * tile);
    std::memset(keys.get(), 0x7f, heads * tile);
    std::memset(values.get(), 0x7f, heads * tile);
    std::vector<float> key_scales(heads * kKvSlots, kNaN);
    std::vector<float> value_scales(heads * kKvSlots, kNaN);
    const KvTiles cache{keys.get(), values.get(),    key_scales.data(), value_scales.data(),
                        kv_heads_,  case_.head_size, case_.kv_bits};
    std::string wrong;
    for (const bool fresh : {false, true}) {
      const Step now = step(fresh, case_.split ? kSplitTileRows : kAttentionTileRows);
      wrong = run(now, cache, fresh, output);
      if (!wrong.empty()) break;
    }
    return wrong;
  }

  std::string run(const Step& now, const KvTiles& cache, bool attends, std::vector<float>* output) {
    const auto tokens = static_cast<int>(now.positions.size());
    const int padded = kv_groups(case_.head_size) * 32;
    const bool wide = case_.kv_bits == 16;
    std::vector<std::int8_t> hi(size_of(tokens, case_.num_heads, padded), 99);
    std::vector<std::int8_t> lo = hi;
    std::vector<float> scales(size_of(tokens, case_.num_heads), kNaN);
    const QueryCodes queries{wide ? hi.data() : nullptr, lo.data(), scales.data()};
    const BatchPositions batch{now.positions.data(), now.table_starts.data(), now.tables.data()};
    std::vector<std::uint32_t> flags(size_of(tokens), 0xFFFFFFFFU);
    const NonFiniteReport report{flags.data(), nullptr, 1};
    std::string wrong = failure_of(prepare_attention(
        {now.projected.data(), stride_, columns_.data(), now.cosines.data(), now.sines.data(),
         rotary_dims_, tokens, case_.num_heads, batch, cache, queries, report, report},
        nullptr));
    if (!wrong.empty() || !attends) return wrong;
    if (std::ranges::count(flags, 0xFFFFFFFFU) != tokens) return "a finite value was flagged";
    output->assign(size_of(tokens, case_.num_heads, case_.head_size), kNaN);
    AttentionArgs args{queries,
                       batch,
                       cache,
                       output->data(),
                       now.tiles.data(),
                       static_cast<int>(now.tiles.size()),
                       case_.num_heads,
                       case_.first_group_left,
                       case_.query_group};
    args.num_tokens = tokens;
    std::vector<float> sums, states;
    if (case_.split) {
      args.max_blocks = *std::ranges::max_element(now.positions) / 128 + 1;
      sums.assign(size_of(tokens, case_.num_heads) * size_of(args.max_blocks, case_.head_size),
                  kNaN);
      states.assign(size_of(tokens, case_.num_heads) * size_of(args.max_blocks, 2), kNaN);
      args.sums = sums.data();
      args.states = states.data();
    }
    return failure_of(attention(args, nullptr));
  }

  const AttentionCase case_;
  SplitMix random_;
  int kv_heads_ = 0;
  int num_rows_ = 0;
  int num_blocks_ = 0;
  int stride_ = 0;
  int rotary_dims_ = 0;
  std::vector<Sequence> sequences_;
  std::vector<float> projected_, cosines_, sines_;
  std::vector<std::int32_t> columns_;
};

}  // namespace

std::string AttentionCase::text() const {
  std::string text = split ? "split" : "whole";
  for (const int number : {kv_bits, head_size, num_heads, query_group, first_group_left}) {
    text.append(" ").append(std::to_string(number));
  }
  for (const auto& [cached, new_tokens] : sequences) {
    text += ", " + std::to_string(cached) + " + " + std::to_string(new_tokens);
  }
  return text;
}

std::string check_attention(const AttentionCase& c, std::uint64_t seed) {
  return Batch(c, seed).check();
}

}  // namespace lockstep::cuda
