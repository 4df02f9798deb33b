// The scheduler's invariants under hundreds of random arrivals and ends, drawn from a seed.
//
// The checker sees plans and results alone: it keeps block tables as a rank does, computes "keys
// and values" (a hash of everything up to a token) through them, and samples from those. What it
// believes about the scheduler comes from the promises in its header, never from its state.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "scheduler/scheduler.h"

namespace lockstep {
namespace {

using Tokens = std::vector<std::uint32_t>;

std::uint64_t hash_of(std::uint64_t before, std::uint64_t value) {
  return (before ^ (value + 1)) * 1099511628211U;
}

std::uint64_t first_hash(const CacheSalt& salt) {
  return hash_of(14695981039346656037U, salt.bytes[0]);
}

// What an engine samples behind keys and values that end with `hash`.
std::uint32_t answer_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 40 & 1); }

class SchedulerModel {
 public:
  struct Totals {
    std::uint64_t preemptions = 0, hits = 0, cancelled = 0, stale = 0, resumed = 0;
  };

  SchedulerModel(std::uint64_t seed, Totals& totals)
      : random_(seed), totals_(totals), config_(draw_config()), scheduler_(config_) {
    cells_.resize(static_cast<std::size_t>(config_.num_blocks) * kBlockTokens);
  }

  void run(int steps) {
    for (int i = 0; i < steps && !failed(); ++i) step(true);
    // Nothing more comes: everything that waits or runs ends by itself.
    for (int i = 0; !live_.empty() && !failed(); ++i) {
      ASSERT_LT(i, 20000) << live_.size() << " sequences never end";
      step(false);
    }
    if (failed()) return;
    ASSERT_EQ(scheduler_.num_running() + scheduler_.num_waiting(), 0);
    ASSERT_EQ(scheduler_.pool().num_referenced(), 0);  // Idle: all references are zero.
    totals_.preemptions += scheduler_.counts().preemptions;
    totals_.hits += scheduler_.counts().prefix_hits;
  }

 private:
  struct Live {
    SequenceRequest request;  // Its tokens grow as they are sampled.
    bool running = false;     // In the plans: a rank has a table of it.
    bool was_admitted = false;
    bool in_flight = false;
    std::uint32_t computed = 0;
    std::vector<BlockId> table;
    std::uint64_t id() const { return static_cast<std::uint64_t>(request.id); }
    bool decodes() const {
      return running && computed >= request.prompt_tokens && computed + 1 == request.tokens.size();
    }
  };

  // The keys and values of a token: a hash of everything up to it, and when it was computed.
  struct Cell {
    std::uint64_t hash = 0;
    int step = 0;
  };

  static bool failed() { return testing::Test::HasFatalFailure(); }
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  SchedulerConfig draw_config() {
    SchedulerConfig config;
    config.num_blocks = 4 + static_cast<int>(below(22));
    config.max_step_tokens = 1 + static_cast<int>(below(below(2) == 0 ? 60 : 12));
    config.max_step_sequences = 1 + static_cast<int>(below(8));
    config.chunk_tokens = 1 + static_cast<int>(below(below(2) == 0 ? 40 : 8));
    config.reuse_prefixes = below(4) != 0;
    config.age_steps = below(2) == 0 ? 0 : 1 + below(30);
    return config;
  }

  void add_random() {
    Live live;
    SequenceRequest& r = live.request;
    r.id = SequenceId{next_id_};
    r.arrival = next_id_++;
    r.priority = static_cast<PriorityClass>(below(3));
    r.tenant = TenantId{below(3)};
    r.salt.bytes[0] = static_cast<std::uint8_t>(below(2));
    r.tokens.resize(1 + below(60));
    for (std::uint32_t& token : r.tokens) token = below(20) == 0 ? 1 : 0;  // Prefixes meet.
    r.prompt_tokens = static_cast<std::uint32_t>(r.tokens.size());
    r.score_prompt = below(10) == 0;
    r.max_tokens = r.prompt_tokens + (r.score_prompt ? 0 : 1 + below(40));
    if (!r.score_prompt && below(5) == 0) resume(r);
    const bool fits = (r.max_tokens + 15) / 16 <= static_cast<std::uint32_t>(config_.num_blocks);
    ASSERT_EQ(scheduler_.add(r).ok(), fits);
    if (fits) live_.emplace(live.id(), std::move(live));
  }

  // As if another replica had answered the first tokens.
  void resume(SequenceRequest& request) {
    for (std::uint32_t n = below(request.max_tokens - request.prompt_tokens); n > 0; --n) {
      request.tokens.push_back(answer_of(true_hash(request, request.tokens.size())));
    }
    ++totals_.resumed;
  }

  // Of the first `count` tokens, from the tokens alone.
  static std::uint64_t true_hash(const SequenceRequest& request, std::size_t count) {
    std::uint64_t hash = first_hash(request.salt);
    for (std::size_t i = 0; i < count; ++i) hash = hash_of(hash, request.tokens[i]);
    return hash;
  }

  void finish(std::uint64_t id) {
    const int referenced = scheduler_.pool().num_referenced();
    scheduler_.finish(SequenceId{id});
    const Live& live = live_.at(id);
    if (live.in_flight) {  // Its blocks are still being written.
      ASSERT_EQ(scheduler_.pool().num_referenced(), referenced);
    }
    if (live.running) to_announce_.insert(live.request.id);
    live_.erase(id);
  }

  void cancel_random() {
    if (live_.empty()) return;
    auto at = live_.begin();
    std::advance(at, below(static_cast<std::uint32_t>(live_.size())));
    finish(at->first);
    ++totals_.cancelled;
  }

  // Plans: who was preempted, and that it was the right one.
  std::set<SequenceId> take_back(const StepPlan& plan) {
    std::set<SequenceId> preempted;
    for (const SequenceId id : plan.finished) {
      const auto found = live_.find(static_cast<std::uint64_t>(id));
      if (found == live_.end() || !found->second.running) {
        EXPECT_EQ(to_announce_.erase(id), 1U) << "a table that no rank has";
        continue;
      }
      preempted.insert(id);
      found->second.running = false;
      found->second.computed = 0;
      found->second.table.clear();
    }
    EXPECT_TRUE(to_announce_.empty()) << "ranks keep a table for ever";
    return preempted;
  }

  void check_victims(const std::set<SequenceId>& preempted) {
    if (preempted.empty() || config_.age_steps != 0) return;  // Ageing changes who is last.
    const auto rank = [](const Live& live) {
      return std::pair(live.request.priority, live.request.arrival);
    };
    for (const auto& [id, live] : live_) {
      for (const SequenceId victim : preempted) {
        ASSERT_FALSE(live.running &&
                     rank(live) > rank(live_.at(static_cast<std::uint64_t>(victim))))
            << "sequence " << id << " should have been preempted first";
      }
    }
  }

  void check_admission(const Live& live) {
    for (const auto& [id, other] : live_) {
      ASSERT_FALSE(!other.running && id != live.id() &&
                   other.request.priority == live.request.priority &&
                   other.request.tenant == live.request.tenant &&
                   other.request.arrival < live.request.arrival)
          << "sequence " << live.id() << " overtook " << id;
    }
  }

  Cell& cell(const Live& live, std::size_t i) {
    return cells_[static_cast<std::size_t>(live.table[i / 16]) * kBlockTokens + i % 16];
  }

  // Who else could see what is written into a block.
  int users(BlockId block) const {
    int count = 0;
    for (const auto& [id, live] : live_) {
      count += static_cast<int>(std::ranges::count(live.table, block));
    }
    return count;
  }

  void start(Live& live, const ScheduledSequence& entry) {
    check_admission(live);
    if (failed()) return;
    live.running = true;
    live.computed = entry.first_position;  // From the cache.
    ASSERT_EQ(entry.known_blocks, 0U);
    ASSERT_EQ(entry.first_position % kBlockTokens, 0U);
    ASSERT_LT(entry.first_position, live.request.tokens.size());
    ASSERT_TRUE(entry.first_position == 0 ||
                (config_.reuse_prefixes && !live.request.score_prompt));
    if (!live.was_admitted) {
      ASSERT_EQ(scheduler_.cached_tokens(entry.sequence),
                std::min(entry.first_position, live.request.prompt_tokens));
    }
    live.was_admitted = true;
  }

  // What a rank does with an entry.
  void carry_out(const ScheduledSequence& entry, bool decode) {
    const auto found = live_.find(static_cast<std::uint64_t>(entry.sequence));
    ASSERT_NE(found, live_.end()) << "a sequence that is gone was planned";
    Live& live = found->second;
    if (!live.running) start(live, entry);
    if (failed()) return;
    const Tokens& tokens = live.request.tokens;
    ASSERT_EQ(entry.first_position, live.computed);
    ASSERT_GE(entry.tokens.size(), 1U);
    ASSERT_TRUE(!decode ||
                (entry.tokens.size() == 1 && live.computed >= live.request.prompt_tokens));
    ASSERT_LE(entry.tokens.size(), static_cast<std::size_t>(config_.chunk_tokens));
    const std::size_t end = entry.first_position + entry.tokens.size();
    ASSERT_LE(end, tokens.size()) << "computed exceeds total";
    ASSERT_TRUE(std::ranges::equal(
        entry.tokens, std::span(tokens).subspan(entry.first_position, entry.tokens.size())));
    const std::size_t last = end == tokens.size() ? 1 : 0;
    ASSERT_EQ(entry.num_logits, live.request.score_prompt ? entry.tokens.size() : last);

    ASSERT_EQ(entry.known_blocks, live.table.size());
    live.table.insert(live.table.end(), entry.new_blocks.begin(), entry.new_blocks.end());
    ASSERT_EQ(live.table.size(), (end + 15) / 16) << "a token without a block, or too many";
    std::uint64_t hash = first_hash(live.request.salt);
    for (std::size_t i = 0; i < entry.first_position; ++i) {
      hash = hash_of(hash, tokens[i]);
      ASSERT_EQ(cell(live, i).hash, hash) << "a block holds another prefix, or another salt's";
      ASSERT_LT(cell(live, i).step, step_) << "a token is read in the step that computes it";
    }
    for (std::size_t i = entry.first_position; i < end; ++i) {
      hash = hash_of(hash, tokens[i]);
      ASSERT_EQ(users(live.table[i / 16]), 1) << "a shared block is written";
      cell(live, i) = {hash, step_};
    }
    live.in_flight = true;
  }

  void check_plan(const StepPlan& plan) {
    const auto decoded = decode_plan(encode_plan(plan));  // On every rank.
    ASSERT_TRUE(decoded.ok() && decoded.value() == plan);
    ASSERT_LE(plan.num_tokens(), config_.max_step_tokens);
    ASSERT_LE(plan.decodes.size() + plan.prefills.size(),
              static_cast<std::size_t>(config_.max_step_sequences));
    std::set<SequenceId> ready;
    for (const auto& [id, live] : live_) {
      if (live.decodes()) ready.insert(live.request.id);
    }
    const std::set<SequenceId> preempted = take_back(plan);
    check_victims(preempted);
    for (const auto* entries : {&plan.decodes, &plan.prefills}) {
      for (const ScheduledSequence& entry : *entries) {
        if (failed()) return;
        const auto found = live_.find(static_cast<std::uint64_t>(entry.sequence));
        const bool admitted = found != live_.end() && !found->second.running;
        // Where all had to make room there was no step; its names come with the next one.
        ASSERT_TRUE(!admitted || preempted.empty() || was_empty_)
            << "admitted in a step that preempted";
        carry_out(entry, entries == &plan.decodes);
        ready.erase(entry.sequence);
      }
    }
    for (const SequenceId id : ready) ASSERT_TRUE(preempted.contains(id)) << "a decode was starved";
  }

  void check_pool() {
    const BlockPool& pool = scheduler_.pool();
    ASSERT_EQ(pool.num_free() + pool.num_cached() + pool.num_referenced(), config_.num_blocks);
    std::set<BlockId> used;
    for (const auto& [id, live] : live_) used.insert(live.table.begin(), live.table.end());
    ASSERT_EQ(pool.num_referenced(), static_cast<int>(used.size()));
  }

  void try_stale_results(const StepPlan& plan) {
    const std::vector<SampledToken> wrong = {{SequenceId{1}, 9}};
    ASSERT_FALSE(scheduler_.complete_step(
        {GenerationId{static_cast<std::uint64_t>(plan.generation) + 1}, plan.step, wrong}));
    ASSERT_FALSE(scheduler_.complete_step(
        {plan.generation, StepId{static_cast<std::uint64_t>(plan.step) - 1}, wrong}));
    ++totals_.stale;
  }

  void step(bool more) {
    if (more && below(3) != 0 && live_.size() < 16) add_random();
    if (more && below(12) == 0) cancel_random();
    if (failed()) return;
    const StepPlan plan = scheduler_.plan_step();
    if (plan.empty()) {
      ASSERT_TRUE(plan.finished.empty());
      ASSERT_TRUE(live_.empty() || !was_empty_) << "work was left";
      was_empty_ = !live_.empty();
      return;
    }
    ++step_;
    check_plan(plan);
    if (failed()) return;
    was_empty_ = false;
    if (more && below(12) == 0) cancel_random();  // While the step runs.
    if (below(8) == 0) try_stale_results(plan);
    complete(plan);
    check_pool();
  }

  void complete(const StepPlan& plan) {
    std::vector<SampledToken> sampled;
    std::vector<std::uint64_t> done;
    for (const auto* entries : {&plan.decodes, &plan.prefills}) {
      for (const ScheduledSequence& entry : *entries) {
        const auto found = live_.find(static_cast<std::uint64_t>(entry.sequence));
        if (found == live_.end()) continue;  // Cancelled: its token is of no use.
        Live& live = found->second;
        live.in_flight = false;
        live.computed += static_cast<std::uint32_t>(entry.tokens.size());
        if (live.request.score_prompt) {
          if (live.computed == live.request.prompt_tokens) done.push_back(live.id());
        } else if (entry.num_logits > 0) {
          ASSERT_GE(live.computed, live.request.prompt_tokens) << "sampled within the prompt";
          // From the cache; that it is the true prefix was checked.
          const std::uint32_t token = answer_of(cell(live, live.computed - 1).hash);
          sampled.push_back({entry.sequence, token});
          live.request.tokens.push_back(token);
          if (live.request.tokens.size() == live.request.max_tokens) done.push_back(live.id());
        }
      }
    }
    ASSERT_TRUE(scheduler_.complete_step({plan.generation, plan.step, sampled}));
    ASSERT_FALSE(scheduler_.complete_step({plan.generation, plan.step, sampled}));  // Twice.
    for (const std::uint64_t id : done) finish(id);
  }

  std::mt19937_64 random_;
  Totals& totals_;
  SchedulerConfig config_;
  Scheduler scheduler_;
  std::map<std::uint64_t, Live> live_;
  std::vector<Cell> cells_;  // The KV cache.
  std::set<SequenceId> to_announce_;
  std::uint64_t next_id_ = 1;
  bool was_empty_ = false;
  int step_ = 0;
};

std::uint64_t num_seeds(std::uint64_t count) {
  return std::getenv("LOCKSTEP_LONG") == nullptr ? count : 100 * count;
}

TEST(Scheduler, KeepsItsInvariantsUnderRandomArrivals) {
  SchedulerModel::Totals totals;
  for (std::uint64_t seed = 1; seed <= num_seeds(40); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SchedulerModel(seed, totals).run(150);
    if (testing::Test::HasFailure()) return;
  }
  // Each of them has happened, or nothing was shown.
  EXPECT_GT(totals.preemptions, 50U);
  EXPECT_GT(totals.hits, 50U);
  EXPECT_GT(totals.cancelled, 50U);
  EXPECT_GT(totals.stale, 50U);
  EXPECT_GT(totals.resumed, 50U);
}

// Tenants that always have something waiting in one class get tokens whose costs differ by at most
// twice what is sampled between two admissions (arXiv:2401.00588, theorem 4.4): twice a full cache,
// because what is preempted has been sampled all the same; and by what is not charged yet: less
// than a block of each running sequence.
class FairnessModel {
 public:
  explicit FairnessModel(std::uint64_t seed) : random_(seed), scheduler_(config()) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
    for (const auto& [tenant, cost] : cost_) ASSERT_GT(cost, 10 * kBound) << "too short to tell";
  }

 private:
  static constexpr std::uint64_t kTenants = 3;
  static constexpr int kBlocks = 20;
  static constexpr std::uint64_t kCompletionCost = 2;
  static constexpr std::uint64_t kBound =
      kCompletionCost * (2 * 2 * kBlocks * kBlockTokens + kBlocks * (kBlockTokens - 1));

  static SchedulerConfig config() {
    SchedulerConfig config;
    config.num_blocks = kBlocks;
    config.max_step_tokens = 64;
    config.chunk_tokens = 32;
    config.age_steps = 0;  // One class.
    return config;
  }

  void add(std::uint64_t tenant) {
    SequenceRequest r;
    r.id = SequenceId{++next_id_};
    r.tenant = TenantId{tenant};
    // Tenant 0 asks much and gets little, tenant 2 the other way round.
    r.tokens.resize(1 + random_() % (tenant == 0 ? 80 : 20), static_cast<std::uint32_t>(next_id_));
    r.max_tokens =
        static_cast<std::uint32_t>(r.tokens.size() + 1 + random_() % (tenant == 2 ? 80 : 10));
    ASSERT_TRUE(scheduler_.add(r).ok());
    left_[r.id] = {tenant, r.max_tokens - static_cast<std::uint32_t>(r.tokens.size()),
                   static_cast<std::uint32_t>(r.tokens.size())};
    ++waiting_[tenant];
  }

  void step() {
    for (std::uint64_t tenant = 0; tenant < kTenants; ++tenant) {
      while (waiting_[tenant] < 4) add(tenant);
    }
    const StepPlan plan = scheduler_.plan_step();
    std::vector<SampledToken> sampled;
    for (const auto* entries : {&plan.decodes, &plan.prefills}) {
      for (const ScheduledSequence& entry : *entries) {
        Left& left = left_.at(entry.sequence);
        if (left.prompt > 0) --waiting_[left.tenant];
        cost_[left.tenant] += std::exchange(left.prompt, 0) + kCompletionCost * entry.num_logits;
        if (entry.num_logits > 0) sampled.push_back({entry.sequence, 1});
      }
    }
    if (!plan.empty()) {
      ASSERT_TRUE(scheduler_.complete_step({plan.generation, plan.step, sampled}));
    }
    for (const SampledToken& token : sampled) {
      if (--left_.at(token.sequence).completion > 0) continue;
      scheduler_.finish(token.sequence);
      left_.erase(token.sequence);
    }
    const auto [least, most] =
        std::ranges::minmax_element(cost_, {}, [](const auto& entry) { return entry.second; });
    ASSERT_LE(most->second - least->second, kBound);
  }

  struct Left {
    std::uint64_t tenant = 0;
    std::uint32_t completion = 0;
    std::uint32_t prompt = 0;  // Not yet begun.
  };
  std::mt19937_64 random_;
  Scheduler scheduler_;
  std::map<SequenceId, Left> left_;
  std::map<std::uint64_t, int> waiting_;
  std::map<std::uint64_t, std::uint64_t> cost_;
  std::uint64_t next_id_ = 0;
};

TEST(Scheduler, KeepsTheFairnessBound) {
  for (std::uint64_t seed = 1; seed <= num_seeds(3); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FairnessModel(seed).run(4000);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace lockstep
