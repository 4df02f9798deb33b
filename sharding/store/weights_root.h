// `weights_root`: the ordered tree over the rows of the source's tensors. Source: chain design,
// "Identifiers".
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/digest.h"
#include "sharding/store.h"

namespace lockstep {

// One row of one source tensor; its bytes are its blocks in GGUF's order, or binary32 for a vector.
// May be called from several threads at once; returns a view that stays valid until the same
// thread's next call with the same scratch.
using RowReader =
    std::function<Result<ByteView>(std::size_t tensor, std::int64_t row, Bytes& scratch)>;

// The root over all rows of some tensors, in order, computed by as many threads as call `work`.
// Memory does not grow with the number of rows but for 32 bytes in 4096 rows.
class WeightsRoot {
 public:
  // Both must outlive this.
  WeightsRoot(std::span<const SourceTensor> tensors, const RowReader& read);
  ~WeightsRoot();

  // Takes rows until none is left, one failed, or `stop`. From any number of threads.
  void work();
  void stop();

  // What `read` said, as yet. Requires: nobody is in `work`.
  Status error() const;

  // The root, or the first error of `read` in row order or near it. Requires: nobody is in `work`,
  // somebody has been, and `stop` was not called.
  Result<Digest> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All of it, with `num_threads` threads.
Result<Digest> weights_root(std::span<const SourceTensor> tensors, const RowReader& read,
                            int num_threads);

}  // namespace lockstep
