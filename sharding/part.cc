#include "sharding/part.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>

#include "base/checked.h"
#include "base/p16.h"

namespace lockstep {
namespace {

constexpr int kMaxParts = 16;
constexpr int kManyKvHeads = 8;  // From here on key/value heads, not query heads, limit the count.

// floor(i * total / count): where part i begins.
int boundary(int i, int total, int count) {
  return static_cast<int>(std::int64_t{i} * total / count);
}

Range share(int i, int total, int count) {
  return {boundary(i, total, count), boundary(i + 1, total, count)};
}

int upper_limit(const ModelConfig& config) {
  const int heads = config.num_kv_heads >= kManyKvHeads ? config.num_kv_heads : config.num_heads;
  return std::min({kMaxParts, ceil_div(config.ffn_dim, kGroupSize), heads});
}

// Whether every part but the first starts at a whole group of the attention output's columns.
bool boundaries_align(const ModelConfig& config, int count) {
  for (int i = 0; i < count; ++i) {
    if (boundary(i, config.num_heads, count) * std::int64_t{config.head_size} % kGroupSize != 0) {
      return false;
    }
  }
  return true;
}

int largest_count(const ModelConfig& config) {
  int count = upper_limit(config);
  while (count > 1 && !boundaries_align(config, count)) --count;
  return count;
}

bool uses(const Part& part, int kv_head) { return part.kv_heads.contains(kv_head); }

Part make_part(const ModelConfig& config, int index, int count) {
  const int group = config.query_group();
  Part part;
  part.heads = share(index, config.num_heads, count);
  part.kv_heads = {part.heads.begin / group, (part.heads.end - 1) / group + 1};
  part.own_kv = part.kv_heads;
  const bool shares_first = part.heads.begin % group != 0;
  const bool shares_last = part.heads.end % group != 0;
  if (shares_first) ++part.own_kv.begin;
  if (shares_last) part.own_kv.end = std::max(part.own_kv.end - 1, part.own_kv.begin);
  if (shares_last && !(shares_first && part.kv_heads.size() == 1)) {
    part.shared_kv = part.kv_heads.end - 1;
  }
  const Range groups = share(index, ceil_div(config.ffn_dim, kGroupSize), count);
  part.ffn = {groups.begin * kGroupSize, groups.end * kGroupSize};
  const Range panels = share(index, ceil_div(config.vocab_size, kPanelRows), count);
  part.vocab = {std::min(panels.begin * kPanelRows, config.vocab_size),
                std::min(panels.end * kPanelRows, config.vocab_size)};
  return part;
}

Error wrong_count(const ModelConfig& config, int requested, const std::string& rule) {
  return Error{ErrorCode::kInvalidArgument, "parts: " + std::to_string(requested) + " " + rule +
                                                "; the largest legal count is " +
                                                std::to_string(largest_count(config))};
}

}  // namespace

Result<std::vector<Part>> make_parts(const ModelConfig& config, int requested) {
  CHECK(config.num_heads > 0 && config.num_kv_heads > 0 && config.head_size > 0 &&
            config.ffn_dim > 0 && config.vocab_size > 0 &&
            config.num_heads % config.num_kv_heads == 0,
        "make_parts needs a checked configuration");
  if (requested < 0) return wrong_count(config, requested, "is negative");
  if (requested > upper_limit(config)) {
    return wrong_count(config, requested,
                       "is more than 16, the feed-forward groups of 32, or the heads allow");
  }
  if (requested > 0 && !boundaries_align(config, requested)) {
    return wrong_count(config, requested, "cuts attention inside a group of 32 columns");
  }
  const int count = requested > 0 ? requested : largest_count(config);
  std::vector<Part> parts;
  for (int i = 0; i < count; ++i) parts.push_back(make_part(config, i, count));
  return parts;
}

int kv_home(std::span<const Part> parts, int kv_head) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (uses(parts[i], kv_head)) return narrow<int>(i);
  }
  CHECK(false, "no part uses this key/value head");
  return -1;
}

Result<std::vector<Range>> assign_parts(int num_parts, int world_size,
                                        std::span<const double> weights) {
  if (world_size < 1 || world_size > num_parts) {
    return Error{ErrorCode::kInvalidArgument, "world size " + std::to_string(world_size) +
                                                  ": this store has " + std::to_string(num_parts) +
                                                  " parts, so 1 to " + std::to_string(num_parts) +
                                                  " ranks"};
  }
  if (!weights.empty() && weights.size() != static_cast<std::size_t>(world_size)) {
    return Error{ErrorCode::kInvalidArgument, "weights: " + std::to_string(weights.size()) +
                                                  " for a world size of " +
                                                  std::to_string(world_size)};
  }
  std::vector<double> share(static_cast<std::size_t>(world_size), 1.0);
  if (!weights.empty()) share.assign(weights.begin(), weights.end());
  for (const double weight : share) {
    if (!(weight > 0) || !std::isfinite(weight)) {
      return Error{ErrorCode::kInvalidArgument, "weights: each must be a positive number"};
    }
  }
  // Scaled by a power of two first: exact, and the sum is finite.
  const int exponent = std::ilogb(*std::max_element(share.begin(), share.end()));
  double sum = 0;
  for (double& weight : share) sum += weight = std::ldexp(weight, -exponent);

  // Every rank gets one part; the rest goes by largest remainder of the exact quota.
  std::vector<int> count(share.size());
  std::vector<double> remainder(share.size());
  int given = 0;
  for (std::size_t i = 0; i < share.size(); ++i) {
    const double quota = num_parts * share[i] / sum;
    count[i] = std::max(1, static_cast<int>(std::floor(quota)));
    remainder[i] = quota - count[i];
    given += count[i];
  }
  for (; given < num_parts; ++given) {
    const auto next = std::max_element(remainder.begin(), remainder.end()) - remainder.begin();
    ++count[static_cast<std::size_t>(next)];
    --remainder[static_cast<std::size_t>(next)];
  }
  // The minimum of one part can overshoot: take back where the quota is exceeded most.
  for (; given > num_parts; --given) {
    std::size_t most = share.size();
    for (std::size_t i = 0; i < share.size(); ++i) {
      if (count[i] > 1 && (most == share.size() || remainder[i] <= remainder[most])) most = i;
    }
    --count[most];
    ++remainder[most];
  }
  std::vector<Range> runs;
  int begin = 0;
  for (const int parts : count) {
    runs.push_back({begin, begin + parts});
    begin += parts;
  }
  return runs;
}

Range heads_of(std::span<const Part> parts, Range run) {
  return {parts[static_cast<std::size_t>(run.begin)].heads.begin,
          parts[static_cast<std::size_t>(run.end - 1)].heads.end};
}

Range kv_heads_of(std::span<const Part> parts, Range run) {
  return {parts[static_cast<std::size_t>(run.begin)].kv_heads.begin,
          parts[static_cast<std::size_t>(run.end - 1)].kv_heads.end};
}

Range vocab_of(std::span<const Part> parts, Range run) {
  return {parts[static_cast<std::size_t>(run.begin)].vocab.begin,
          parts[static_cast<std::size_t>(run.end - 1)].vocab.end};
}

}  // namespace lockstep
