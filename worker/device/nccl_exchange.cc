#include "worker/device/nccl_exchange.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

#include "base/checked.h"
#include "worker/device/device_memory.h"
#include "worker/device/step_tables.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

// Looks again at once for a while: a step takes milliseconds.
void pause(Clock::time_point since) {
  constexpr std::chrono::milliseconds kImpatient{20};
  constexpr std::chrono::microseconds kPoll{200};
  if (Clock::now() - since < kImpatient) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kPoll);
  }
}

int total_of(std::span<const int> segments) {
  return std::accumulate(segments.begin(), segments.end(), 0);
}

// The tokens that rank `rank` folds when the fold is shared out.
Range share_of(int rank, int world_size, int tokens) {
  const auto begin_of = [&](int r) {
    return static_cast<int>(std::int64_t{tokens} * r / world_size);
  };
  return {begin_of(rank), begin_of(rank + 1)};
}

bool is_shared_out(int tokens) { return tokens > kMostRoundedTokens; }

std::string version_text(int version) {  // 22809: 2.28.9
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace

std::size_t nccl_room(int tokens, int stride, std::span<const int> segments_of_rank) {
  const auto world_size = static_cast<int>(segments_of_rank.size());
  const int rows = std::max(std::min(tokens, kMostRoundedTokens), ceil_div(tokens, world_size));
  return size_of(total_of(segments_of_rank), rows, stride);
}

Result<std::unique_ptr<NcclExchange>> NcclExchange::create(const std::string& library,
                                                           const DeviceTarget& device,
                                                           Communicator& group,
                                                           std::chrono::milliseconds deadline) {
  const Result<NcclLibrary> nccl = open_nccl(library);
  NcclId id{};
  Status opened;
  if (!nccl.ok()) {
    opened = nccl.error();
  } else if (group.rank() == 0 && nccl.value().make_id(&id) != kNcclSuccess) {
    opened = Error{ErrorCode::kUnavailable, "NCCL makes no id: see its log (NCCL_DEBUG=WARN)"};
  }
  LOCKSTEP_TRY(agree(group, opened), "NCCL");
  Bytes id_bytes(sizeof id);
  std::memcpy(id_bytes.data(), &id, sizeof id);
  LOCKSTEP_TRY(group.broadcast(id_bytes), "NCCL");
  std::memcpy(&id, id_bytes.data(), sizeof id);
  std::unique_ptr<NcclExchange> made(new NcclExchange(nccl.value(), device, group, deadline));
  LOCKSTEP_TRY(agree(group, made->begin(id)), "NCCL");
  return made;
}

Status NcclExchange::begin(const NcclId& id) {
  LOCKSTEP_TRY(
      device_status(*device_.table, device_.table->runtime.use_device(device_.index), "use device"),
      "NCCL");
  int version = 0;
  (void)nccl_.get_version(&version);
  version_ = version_text(version);
  NcclSettings settings;
  return settled(nccl_.begin(&comm_, world_size_, id, rank_, &settings), "begin");
}

NcclExchange::~NcclExchange() {
  if (comm_ != nullptr) (void)nccl_.abort(comm_);
}

Status NcclExchange::give_up(std::string reason) {
  if (comm_ != nullptr) (void)nccl_.abort(comm_);
  comm_ = nullptr;
  return Error{ErrorCode::kUnavailable, "NCCL: " + std::move(reason)};
}

Status NcclExchange::settled(int result, std::string_view what) {
  const Clock::time_point since = Clock::now();
  while (result == kNcclInProgress) {
    if (Clock::now() - since > deadline_)
      return give_up(std::string(what) + ": a peer does not answer");
    pause(since);
    if (const int error = nccl_.state(comm_, &result); error != kNcclSuccess) result = error;
  }
  if (result == kNcclSuccess) return {};
  return give_up(std::string(what) + ": " + nccl_.error_string(result));
}

template <typename Enqueue>
Status NcclExchange::group_of(Enqueue enqueue) {
  if (comm_ == nullptr) return Error{ErrorCode::kUnavailable, "NCCL: the exchange was given up"};
  int result = nccl_.begin_group();
  const auto first_error = [&](int next) {
    if (result == kNcclSuccess || result == kNcclInProgress) result = next;
  };
  enqueue(first_error);
  const int ended = nccl_.end_group();
  first_error(ended);
  return settled(result, "exchange");
}

Status NcclExchange::fold_rows(const DeviceFold& fold, int segments, int first, int count) {
  const cuda::FoldArgs args{
      fold.gathered, segments, fold.stride, nullptr, fold.folded + size_of(first, fold.stride),
      fold.stride,   count,    fold.stride};
  return device_status(*device_.table, device_.table->operations.fold(args, fold.stream), "fold");
}

Status NcclExchange::gather_all(const DeviceFold& fold, std::span<const int> segments_of_rank) {
  const std::size_t outputs = size_of(fold.tokens, fold.stride);
  LOCKSTEP_TRY(group_of([&](auto first_error) {
                 float* at = fold.gathered;
                 for (int peer = 0; peer < world_size_; ++peer) {
                   const std::size_t mine = outputs * size_of(segments_of_rank[size_of(rank_)]);
                   const std::size_t its = outputs * size_of(segments_of_rank[size_of(peer)]);
                   first_error(nccl_.send(fold.sums, mine, kNcclFloat, peer, comm_, fold.stream));
                   first_error(nccl_.receive(at, its, kNcclFloat, peer, comm_, fold.stream));
                   at += its;
                 }
               }),
               "gather sums");
  return fold_rows(fold, total_of(segments_of_rank), 0, fold.tokens);
}

Status NcclExchange::fold_share(const DeviceFold& fold, std::span<const int> segments_of_rank) {
  const Range mine = share_of(rank_, world_size_, fold.tokens);
  const std::size_t share = size_of(mine.size(), fold.stride);
  LOCKSTEP_TRY(group_of([&](auto first_error) {
                 float* at = fold.gathered;
                 for (int peer = 0; peer < world_size_; ++peer) {
                   const Range its = share_of(peer, world_size_, fold.tokens);
                   for (int s = 0; s < segments_of_rank[size_of(rank_)]; ++s) {
                     const float* from =
                         fold.sums + size_of(s * fold.tokens + its.begin, fold.stride);
                     first_error(nccl_.send(from, size_of(its.size(), fold.stride), kNcclFloat,
                                            peer, comm_, fold.stream));
                   }
                   for (int s = 0; s < segments_of_rank[size_of(peer)]; ++s, at += share) {
                     first_error(nccl_.receive(at, share, kNcclFloat, peer, comm_, fold.stream));
                   }
                 }
               }),
               "share out sums");
  LOCKSTEP_TRY(fold_rows(fold, total_of(segments_of_rank), mine.begin, mine.size()), "fold");
  return group_of([&](auto first_error) {
    for (int peer = 0; peer < world_size_; ++peer) {
      if (peer == rank_) continue;
      const Range its = share_of(peer, world_size_, fold.tokens);
      first_error(nccl_.send(fold.folded + size_of(mine.begin, fold.stride), share, kNcclFloat,
                             peer, comm_, fold.stream));
      first_error(nccl_.receive(fold.folded + size_of(its.begin, fold.stride),
                                size_of(its.size(), fold.stride), kNcclFloat, peer, comm_,
                                fold.stream));
    }
  });
}

Status NcclExchange::fold(const DeviceFold& fold, std::span<const int> segments_of_rank) {
  return is_shared_out(fold.tokens) ? fold_share(fold, segments_of_rank)
                                    : gather_all(fold, segments_of_rank);
}

Status NcclExchange::wait(cuda::DeviceStream stream) {
  const Clock::time_point since = Clock::now();
  while (true) {
    bool done = false;
    LOCKSTEP_TRY(
        device_status(*device_.table, device_.table->runtime.is_done(stream, &done), "run"),
        "wait");
    if (done) return {};
    if (comm_ == nullptr) return Error{ErrorCode::kUnavailable, "NCCL: the exchange was given up"};
    int result = kNcclSuccess;
    if (const int error = nccl_.state(comm_, &result); error != kNcclSuccess) result = error;
    if (result != kNcclSuccess && result != kNcclInProgress) {
      return give_up(nccl_.error_string(result));
    }
    if (Clock::now() - since > deadline_) return give_up("a peer does not answer");
    pause(since);
  }
}

}  // namespace lockstep
