// The scheduler's promises under hundreds of random arrivals and ends, drawn from a seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "scheduler/scheduler.h"

namespace lockstep {
namespace {

using Tokens = std::vector<std::uint32_t>;

// Hundreds of sequences that come and go at random. What a rank would do with every plan is done
// here, and compared.
class SchedulerModel {
 public:
  explicit SchedulerModel(std::uint64_t seed)
      : random_(seed), config_(draw_config()), scheduler_(config_) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
    while (!testing::Test::HasFatalFailure() && !live_.empty()) {
      finish_random();
      step();
    }
    EXPECT_EQ(scheduler_.pool().num_referenced(), 0);
    EXPECT_GT(num_completed_, 0);
  }

 private:
  struct Live {
    std::uint64_t id = 0;
    Tokens tokens;
    std::uint32_t prompt_tokens = 0;
    std::uint32_t max_tokens = 0;
    bool score = false;
    bool admitted = false;
    std::uint32_t computed = 0;
    std::vector<BlockId> table;
  };

  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  SchedulerConfig draw_config() {
    SchedulerConfig config;
    config.num_blocks = 6 + static_cast<int>(below(20));
    config.max_step_tokens = 1 + static_cast<int>(below(60));
    config.max_step_sequences = 1 + static_cast<int>(below(6));
    config.chunk_tokens = 1 + static_cast<int>(below(40));
    config.reuse_prefixes = below(4) != 0;
    return config;
  }

  Live* find(std::uint64_t id) {
    const auto found = std::ranges::find(live_, id, &Live::id);
    return found == live_.end() ? nullptr : &*found;
  }

  void add_random() {
    Live live;
    live.id = next_id_++;
    live.tokens.resize(1 + below(70));
    for (std::uint32_t& token : live.tokens) token = below(20) == 0 ? 1 : 0;  // Prefixes meet.
    live.prompt_tokens = static_cast<std::uint32_t>(live.tokens.size());
    live.score = below(8) == 0;
    live.max_tokens = live.prompt_tokens + (live.score ? 0 : 1 + below(30));
    const bool fits = (live.max_tokens + 15) / 16 <= static_cast<std::uint32_t>(config_.num_blocks);
    const Status status =
        scheduler_.add(SequenceId{live.id}, live.tokens, live.max_tokens, live.score);
    ASSERT_EQ(status.ok(), fits);
    if (fits) live_.push_back(std::move(live));
  }

  void finish_random() {
    if (!live_.empty()) finish(live_[below(static_cast<std::uint32_t>(live_.size()))].id);
  }

  void finish(std::uint64_t id) {
    scheduler_.finish(SequenceId{id});
    const Live* live = find(id);
    if (live->admitted) to_announce_.insert(SequenceId{id});
    live_.erase(live_.begin() + (live - live_.data()));
    ++num_completed_;
  }

  // A rank's view of one entry; true when a token is wanted.
  void carry_out(const ScheduledSequence& entry, bool decode) {
    Live* live = find(static_cast<std::uint64_t>(entry.sequence));
    ASSERT_NE(live, nullptr) << "a sequence that is gone was planned";
    ASSERT_GE(entry.tokens.size(), 1U);
    if (!live->admitted) {
      live->admitted = true;
      live->computed = entry.first_position;  // From the cache.
      ASSERT_EQ(entry.first_position % kBlockTokens, 0U);
      ASSERT_LT(entry.first_position, live->prompt_tokens);
      ASSERT_TRUE(entry.first_position == 0 || (config_.reuse_prefixes && !live->score));
      ASSERT_EQ(scheduler_.cached_tokens(entry.sequence), entry.first_position);
    }
    ASSERT_EQ(entry.first_position, live->computed);
    ASSERT_EQ(decode, live->computed >= live->prompt_tokens);
    ASSERT_TRUE(!decode || entry.tokens.size() == 1);
    ASSERT_LE(entry.tokens.size(), static_cast<std::size_t>(config_.chunk_tokens));
    const std::size_t end = entry.first_position + entry.tokens.size();
    ASSERT_LE(end, live->tokens.size());
    ASSERT_TRUE(std::equal(entry.tokens.begin(), entry.tokens.end(),
                           live->tokens.begin() + entry.first_position));
    const bool last = end == live->tokens.size();
    ASSERT_EQ(entry.num_logits,
              live->score ? entry.tokens.size() : static_cast<std::size_t>(last ? 1 : 0));

    ASSERT_EQ(entry.known_blocks, live->table.size());
    live->table.insert(live->table.end(), entry.new_blocks.begin(), entry.new_blocks.end());
    ASSERT_EQ(live->table.size(), (end + 15) / 16) << "a token without a block, or too many";
    // Keys and values as a rank holds them: what is read must be the sequence's own prefix.
    for (std::size_t i = 0; i < entry.first_position; ++i) {
      ASSERT_EQ(cell(*live, i), prefix_hash(*live, i)) << "a cached block holds another prefix";
    }
    for (std::size_t i = entry.first_position; i < end; ++i) {
      cell(*live, i) = prefix_hash(*live, i);
    }
  }

  // The slot of token i in the cache.
  std::uint64_t& cell(const Live& live, std::size_t i) {
    cache_.resize(static_cast<std::size_t>(config_.num_blocks) * kBlockTokens);
    return cache_[static_cast<std::size_t>(live.table[i / 16]) * kBlockTokens + i % 16];
  }
  static std::uint64_t prefix_hash(const Live& live, std::size_t i) {
    std::uint64_t hash = 14695981039346656037U;
    for (std::size_t t = 0; t <= i; ++t) hash = (hash ^ (live.tokens[t] + 1)) * 1099511628211U;
    return hash;
  }

  void check_plan(const StepPlan& plan) {
    ASSERT_LE(plan.num_tokens(), config_.max_step_tokens);
    ASSERT_LE(plan.decodes.size() + plan.prefills.size(),
              static_cast<std::size_t>(config_.max_step_sequences));
    // Ids are given in order of arrival, and nobody overtakes.
    for (const auto* entries : {&plan.decodes, &plan.prefills}) {
      ASSERT_TRUE(std::ranges::is_sorted(*entries, std::less<>(), &ScheduledSequence::sequence));
    }
    if (!plan.empty()) {
      const std::set<SequenceId> finished(plan.finished.begin(), plan.finished.end());
      ASSERT_EQ(finished, to_announce_);
      ASSERT_EQ(finished.size(), plan.finished.size());
      to_announce_.clear();
    }
    for (const auto& entry : plan.decodes) carry_out(entry, true);
    for (const auto& entry : plan.prefills) carry_out(entry, false);
    bool waits = false;
    for (const Live& live : live_) {  // In order of arrival.
      ASSERT_FALSE(waits && live.admitted) << "sequence " << live.id << " overtook";
      waits = waits || !live.admitted;
    }
    ASSERT_TRUE(!plan.empty() || std::ranges::none_of(live_, &Live::admitted)) << "work was left";
  }

  void check_pool() {
    const BlockPool& pool = scheduler_.pool();
    ASSERT_EQ(pool.num_free() + pool.num_cached() + pool.num_referenced(), config_.num_blocks);
    std::map<BlockId, int> users;
    int reserved = 0;
    for (const Live& live : live_) {
      for (const BlockId block : live.table) ++users[block];
      if (live.admitted) {
        reserved += static_cast<int>((live.max_tokens + 15) / 16 - live.table.size());
      }
    }
    ASSERT_EQ(pool.num_referenced(), static_cast<int>(users.size()) + reserved);
  }

  void step() {
    if (below(3) != 0 && live_.size() < 12) add_random();
    if (below(10) == 0) finish_random();
    const StepPlan plan = scheduler_.plan_step();
    check_plan(plan);
    if (testing::Test::HasFatalFailure()) return;
    if (below(10) == 0) finish_random();  // While the step runs.
    std::vector<SampledToken> sampled;
    std::vector<std::uint64_t> done;
    for (const auto* entries : {&plan.decodes, &plan.prefills}) {
      for (const ScheduledSequence& entry : *entries) complete(entry, sampled, done);
    }
    scheduler_.complete_step(sampled);
    for (const std::uint64_t id : done) finish(id);
    check_pool();
  }

  void complete(const ScheduledSequence& entry, std::vector<SampledToken>& sampled,
                std::vector<std::uint64_t>& done) {
    Live* live = find(static_cast<std::uint64_t>(entry.sequence));
    if (live == nullptr) return;  // Finished while the step ran: its token is of no use.
    live->computed += static_cast<std::uint32_t>(entry.tokens.size());
    if (live->score) {
      if (live->computed == live->prompt_tokens) done.push_back(live->id);
    } else if (entry.num_logits > 0) {
      const std::uint32_t token = below(2);
      sampled.push_back({entry.sequence, token});
      live->tokens.push_back(token);
      if (live->tokens.size() == live->max_tokens) done.push_back(live->id);
    }
  }

  std::mt19937_64 random_;
  SchedulerConfig config_;
  Scheduler scheduler_;
  std::vector<Live> live_;  // In order of arrival.
  std::vector<std::uint64_t> cache_;
  std::set<SequenceId> to_announce_;
  std::uint64_t next_id_ = 1;
  int num_completed_ = 0;
};

TEST(Scheduler, KeepsItsPromisesUnderRandomArrivals) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SchedulerModel(seed).run(150);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace lockstep
