// What the findings of all ranks mean together. Pure.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/canonical_json.h"
#include "cli/doctor/slurm_checks.h"
#include "cli/output.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kLockedBytes = 8 << 20;
constexpr std::uint64_t kSharedBytes = 8 << 20;    // Of a rank in /dev/shm (worker/shared_group.h).
constexpr std::uint64_t kScratchBytes = 16 << 20;  // MPI's session files, and room to spare.

std::string rank_name(std::size_t rank, const RankFinding& finding) {
  return "rank " + std::to_string(rank) + " on " + finding.node;
}

Check world_check(const std::vector<RankFinding>& findings, int promised_tasks) {
  Check check{.area = "slurm", .name = "MPI world"};
  std::set<std::string> nodes;
  for (const RankFinding& finding : findings) nodes.insert(finding.node);
  check.value = std::to_string(findings.size()) + " ranks on " + std::to_string(nodes.size()) +
                (nodes.size() == 1 ? " node" : " nodes");
  if (promised_tasks > 0 && findings.size() != static_cast<std::size_t>(promised_tasks)) {
    check.state = CheckState::kMissing;
    check.value += ", Slurm started " + std::to_string(promised_tasks) + " tasks";
    check.fix = "srun --mpi=pmix, and an Open MPI with PMIx: `srun --mpi=list` shows what there is";
  }
  return check;
}

// Two ranks of a node that compute on one GPU halve both, and may not fit its memory.
Check device_check(const std::vector<RankFinding>& findings) {
  Check check{.area = "slurm", .name = "devices"};
  std::map<std::string, std::string> owner;
  std::size_t with_devices = 0;
  for (std::size_t rank = 0; rank < findings.size(); ++rank) {
    const RankFinding& finding = findings[rank];
    if (finding.devices.empty()) continue;
    ++with_devices;
    const auto [other, is_new] =
        owner.try_emplace(finding.node + "/" + finding.devices, rank_name(rank, finding));
    if (is_new) continue;
    check.state = CheckState::kMissing;
    check.value =
        rank_name(rank, finding) + " has GPU " + finding.devices + ", as has " + other->second;
    check.fix = "srun --gpus-per-task=1 --gpu-bind=single:1";
    return check;
  }
  check.value = with_devices == 0 ? "no GPUs were given to this step"
                                  : std::to_string(with_devices) + " ranks, each with its own GPU";
  return check;
}

Check locked_check(const std::vector<RankFinding>& findings) {
  Check check{.area = "slurm", .name = "locked memory", .value = "enough on every rank"};
  for (std::size_t rank = 0; rank < findings.size(); ++rank) {
    if (findings[rank].locked_bytes >= kLockedBytes) continue;
    check.state = CheckState::kWarn;
    check.value =
        rank_name(rank, findings[rank]) + " may lock " + human_bytes(findings[rank].locked_bytes);
    check.fix =
        "slurm.conf: PropagateResourceLimitsExcept=MEMLOCK, and LimitMEMLOCK=infinity for slurmd";
    break;
  }
  return check;
}

Check shared_check(const std::vector<RankFinding>& findings) {
  Check check{.area = "slurm", .name = "/dev/shm", .value = "enough on every node"};
  std::map<std::string, std::uint64_t> ranks;
  for (const RankFinding& finding : findings) ++ranks[finding.node];
  for (const RankFinding& finding : findings) {
    const std::uint64_t wanted = kSharedBytes * (ranks[finding.node] + 1);
    if (finding.shared_memory_free >= wanted) continue;
    check.state = CheckState::kMissing;
    check.value = human_bytes(finding.shared_memory_free) + " free on " + finding.node + ", " +
                  human_bytes(wanted) + " needed";
    check.fix = "remove what ended jobs left there (slurm/epilog.sh does), or mount it larger";
    break;
  }
  return check;
}

Check scratch_check(const std::vector<RankFinding>& findings) {
  Check check{.area = "slurm", .name = "scratch", .value = "room on every node"};
  for (std::size_t rank = 0; rank < findings.size(); ++rank) {
    const RankFinding& finding = findings[rank];
    if (finding.scratch_free >= kScratchBytes) continue;
    check.state = CheckState::kMissing;
    check.value = rank_name(rank, finding) + ": " + human_bytes(finding.scratch_free) +
                  " can be written in " + finding.scratch;
    check.fix = "free " + human_bytes(kScratchBytes) +
                " there, or name another directory in the "
                "site's file: scratch";
    break;
  }
  return check;
}

Check store_check(const std::vector<RankFinding>& findings) {
  Check check{.area = "slurm", .name = "model", .value = findings[0].store};
  for (std::size_t rank = 0; rank < findings.size(); ++rank) {
    const RankFinding& finding = findings[rank];
    if (!finding.fault.empty()) {
      check.value = rank_name(rank, finding) + ": " + finding.fault;
      check.fix = "put the store on a file system that all nodes mount at the same place";
    } else if (finding.store != findings[0].store) {
      check.value = rank_name(rank, finding) + " sees manifest " + finding.store + ", " +
                    rank_name(0, findings[0]) + " " + findings[0].store;
      check.fix = "copy the store anew: `lockstep inspect STORE --verify` on both nodes";
    } else {
      continue;
    }
    check.state = CheckState::kMissing;
    break;
  }
  return check;
}

Check lock_check(const std::vector<RankFinding>& findings) {
  Check check{.area = "slurm", .name = "file locks"};
  int tried = 0;
  for (const RankFinding& finding : findings) {
    tried += finding.lock != 0 ? 1 : 0;
    if (finding.lock >= 0) continue;
    check.state = CheckState::kMissing;
    check.value =
        finding.node + " takes a lock of the state directory that " + findings[0].node + " holds";
    check.fix =
        "two gateways could open one state: mount it with locks (Lustre: -o flock; NFS: not "
        "local_lock)";
    return check;
  }
  check.value = tried == 0 ? "one node alone: nothing to compare"
                           : "hold between nodes (" + std::to_string(tried) + " tried)";
  return check;
}

}  // namespace

std::string encode_finding(const RankFinding& finding) {
  const Json json = {{"node", finding.node},
                     {"devices", finding.devices},
                     {"store", finding.store},
                     {"fault", finding.fault},
                     {"locked_bytes", std::to_string(finding.locked_bytes)},
                     {"shared_memory_free", std::to_string(finding.shared_memory_free)},
                     {"scratch", finding.scratch},
                     {"scratch_free", std::to_string(finding.scratch_free)},
                     {"lock", finding.lock}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<RankFinding> parse_finding(const std::string& text) {
  LOCKSTEP_TRY_ASSIGN(const Json json, parse_json(text, 2), "finding of a rank");
  RankFinding finding;
  const std::pair<std::string*, const char*> texts[] = {{&finding.node, "node"},
                                                        {&finding.devices, "devices"},
                                                        {&finding.store, "store"},
                                                        {&finding.fault, "fault"},
                                                        {&finding.scratch, "scratch"}};
  for (const auto& [value, key] : texts) {
    LOCKSTEP_TRY_ASSIGN(*value, json_text(json, key), "finding of a rank");
  }
  const std::pair<std::uint64_t*, const char*> numbers[] = {
      {&finding.locked_bytes, "locked_bytes"},
      {&finding.shared_memory_free, "shared_memory_free"},
      {&finding.scratch_free, "scratch_free"}};
  for (const auto& [value, key] : numbers) {
    LOCKSTEP_TRY_ASSIGN(const std::string digits, json_text(json, key), "finding of a rank");
    (void)std::from_chars(digits.data(), digits.data() + digits.size(), *value);
  }
  LOCKSTEP_TRY_ASSIGN(const std::int64_t lock, json_integer(json, "lock", -1, 1),
                      "finding of a rank");
  finding.lock = static_cast<int>(lock);
  return finding;
}

std::vector<Check> judge(const std::vector<RankFinding>& findings, int promised_tasks) {
  std::vector<Check> checks = {world_check(findings, promised_tasks),
                               device_check(findings),
                               locked_check(findings),
                               shared_check(findings),
                               scratch_check(findings),
                               lock_check(findings)};
  const bool has_store = std::ranges::any_of(findings, [](const RankFinding& finding) {
    return !finding.store.empty() || !finding.fault.empty();
  });
  if (has_store) checks.push_back(store_check(findings));
  return checks;
}

std::int64_t seconds_left(std::string_view text) {
  std::int64_t days = 0;
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + dash, days);
    if (error != std::errc{} || end != text.data() + dash || days < 0 || days > 100'000) return -1;
    text.remove_prefix(dash + 1);
  }
  std::int64_t seconds = 0;
  for (;;) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + colon, value);
    if (error != std::errc{} || end != text.data() + colon || value < 0 || seconds > 100'000'000) {
      return -1;
    }
    seconds = seconds * 60 + value;
    if (colon == text.size()) return days * 86'400 + seconds;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace lockstep
