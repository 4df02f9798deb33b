// How a model is cut: parts are a property of the store, a world size is only an assignment of runs
// of parts to ranks. Pure arithmetic. Source: store design, "Parts".
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "sharding/model_config.h"

namespace lockstep {

// A half-open range of integers.
struct Range {
  int begin = 0;
  int end = 0;

  int size() const { return end - begin; }
  bool contains(int value) const { return value >= begin && value < end; }
  bool operator==(const Range&) const = default;
};

// A fixed share of every matrix.
struct Part {
  Range heads;     // Query heads.
  Range kv_heads;  // Key/value heads that those query heads use; a boundary head may be shared with
                   // a neighbour.
  Range own_kv;    // Those used by this part alone: their rows lie in this part's attn_qkv.
  int shared_kv = -1;  // The key/value head that this part stores in its `shared_kv` dataset for
                       // later parts; -1: none. (Only a part's last head can be used by a later
                       // part, so there is at most one.)
  Range ffn;    // Columns of the hidden layer, multiples of 32 (the last range includes padding).
  Range vocab;  // Rows of embedding and head; multiples of 16 but for the end of the vocabulary.
};

// The parts of a model; `requested` 0 takes the largest legal count. kInvalidArgument names the
// rule that is broken and the largest legal count.
Result<std::vector<Part>> make_parts(const ModelConfig& config, int requested = 0);

// The part that stores key/value head `kv_head`: the lowest that uses it.
int kv_home(std::span<const Part> parts, int kv_head);

// Runs of parts for each rank: largest remainder over `weights` (empty: equal), at least one part
// each, remainder ties to the lower rank. kInvalidArgument when world_size is not in [1,
// num_parts], or weights are not world_size positive numbers.
Result<std::vector<Range>> assign_parts(int num_parts, int world_size,
                                        std::span<const double> weights = {});

// The query heads of a run of parts, and the key/value heads it needs.
Range heads_of(std::span<const Part> parts, Range run);
Range kv_heads_of(std::span<const Part> parts, Range run);
Range vocab_of(std::span<const Part> parts, Range run);

}  // namespace lockstep
