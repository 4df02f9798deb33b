// Who answers which lines, when several processes on several nodes share one batch: leases on
// blocks of lines, as files of a folder on a shared file system. A lease is taken by link(2), which
// is atomic on NFS too; its holder renews it, and one that nobody renews may be taken by others. A
// finished block stays finished.
//
//   block-N.lease  a hard link to the holder's own file: "HOLDER\n"; its age is that of its holder
//   block-N.done   all lines of the block have their results on disk
//
// Two processes may still answer the same line, when a holder is slower than its lease: the results
// are equal, and `batch merge` keeps one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"

namespace lockstep {

inline constexpr std::uint32_t kLeaseLines = 16;  // Of a block.

class LineLeases {
 public:
  // `holder` names the caller, also after a requeue, and nobody else who is alive: what it held
  // before is its own at once. Makes the folder if it is missing.
  static Result<LineLeases> open(const std::string& folder, const std::string& holder,
                                 std::int64_t lease_ms = 60'000);

  enum class Claim { kOurs, kOthers, kDone };
  // Takes the block, if it is free or its lease has run out.
  Result<Claim> claim(std::uint32_t block);
  // Call it every few seconds.
  Status renew();
  // Requires: the block's results are on disk, and it is ours. Whoever lost it meanwhile may say so
  // as well: the results are there.
  Status finish(std::uint32_t block);

 private:
  LineLeases(std::string folder, std::string holder, std::int64_t lease_ms)
      : folder_(std::move(folder)), holder_(std::move(holder)), lease_ms_(lease_ms) {}

  std::string path(std::uint32_t block, const char* ending) const;
  // Makes a link named `target` to our own file. False: there is one already.
  Result<bool> link_to(const std::string& target) const;
  // Whether the lease is as old as that, by the file system's own clock.
  Result<bool> has_run_out(const std::string& lease) const;
  Status touch() const;

  std::string folder_;
  std::string holder_;
  std::int64_t lease_ms_;
  std::string own_;  // The path of our own file.
};

}  // namespace lockstep
