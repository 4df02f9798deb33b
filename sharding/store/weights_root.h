// `weights_root`: the ordered tree over the rows of the source's tensors. Source: chain design,
// "Identifiers".
#pragma once

#include <functional>
#include <span>

#include "base/digest.h"
#include "sharding/store.h"

namespace lockstep {

// One row of one source tensor; its bytes are its blocks in GGUF's order, or binary32 for a vector.
// May be called from two threads at once; returns a view that stays valid until the same thread's
// next call with the same scratch.
using RowReader =
    std::function<Result<ByteView>(std::size_t tensor, std::int64_t row, Bytes& scratch)>;

// The root over all rows of `tensors`, in order; fails with the first error of `read` in row order
// or near it. Memory does not grow with the number of rows but for 32 bytes in 4096 rows.
Result<Digest> weights_root(std::span<const SourceTensor> tensors, const RowReader& read);

}  // namespace lockstep
