#include "scheduler/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace lockstep {
namespace {

using Ids = std::vector<std::uint64_t>;

constexpr PriorityClass kClasses[] = {PriorityClass::kInteractive, PriorityClass::kNormal,
                                      PriorityClass::kBatch};

FairQueue::Item item_of(std::uint64_t id, std::uint64_t tenant = 0,
                        PriorityClass priority = PriorityClass::kNormal, std::int64_t since = 0) {
  return {id, priority, TenantId{tenant}, id, since};
}

Ids pop_all(FairQueue& queue, std::int64_t now = 0) {
  Ids out;
  while (const auto next = queue.pop(now)) out.push_back(next->id);
  return out;
}

TEST(FairQueuePop, GivesNothingWhenNothingWaits) {
  FairQueue queue({});
  EXPECT_FALSE(queue.pop(0).has_value());
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueuePop, ServesATenantInOrderOfArrival) {
  FairQueue queue({});
  for (const std::uint64_t id : {3, 1, 2}) queue.push(item_of(id));
  EXPECT_EQ(pop_all(queue), (Ids{1, 2, 3}));
}

TEST(FairQueuePop, ServesTheHigherClassFirst) {
  FairQueue queue({});
  queue.push(item_of(1, 0, PriorityClass::kBatch));
  queue.push(item_of(2, 0, PriorityClass::kNormal));
  queue.push(item_of(3, 0, PriorityClass::kInteractive));
  EXPECT_EQ(queue.peek(0)->lane, PriorityClass::kInteractive);
  EXPECT_EQ(pop_all(queue), (Ids{3, 2, 1}));
}

TEST(FairQueuePop, ServesTheTenantThatGotLeast) {
  FairQueue queue({});
  for (std::uint64_t id = 1; id <= 4; ++id) queue.push(item_of(id, id <= 2 ? 1 : 2));
  Ids order;
  while (const auto next = queue.pop(0)) {
    order.push_back(next->id);
    queue.charge(next->lane, next->tenant, 10, 0);
  }
  EXPECT_EQ(order, (Ids{1, 3, 2, 4}));
}

TEST(FairQueueAge, LiftsByOneClassEachTime) {
  FairQueueConfig config;
  config.age_after = 10;
  FairQueue queue(config);
  queue.push(item_of(1, 0, PriorityClass::kBatch, 100));
  EXPECT_EQ(queue.peek(109)->lane, PriorityClass::kBatch);
  EXPECT_EQ(queue.peek(110)->lane, PriorityClass::kNormal);
  EXPECT_EQ(queue.size(PriorityClass::kNormal), 1U);
  EXPECT_EQ(queue.peek(119)->lane, PriorityClass::kNormal);
  EXPECT_EQ(queue.peek(120)->lane, PriorityClass::kInteractive);
  EXPECT_TRUE(queue.remove(1));
  EXPECT_FALSE(queue.peek(200).has_value());
}

TEST(FairQueueAge, LetsAnOldItemOvertakeYoungOnesOfAHigherClass) {
  FairQueueConfig config;
  config.age_after = 10;
  FairQueue queue(config);
  queue.push(item_of(1, 0, PriorityClass::kNormal, 0));
  queue.push(item_of(2, 0, PriorityClass::kInteractive, 9));
  EXPECT_EQ(queue.peek(9)->id, 2U);
  EXPECT_EQ(queue.peek(10)->id, 1U);
}

TEST(FairQueueAge, CountsFromWhenAnItemThatComesBackBeganToWait) {
  FairQueueConfig config;
  config.age_after = 10;
  FairQueue queue(config);
  queue.push(item_of(1, 0, PriorityClass::kBatch, 0));
  EXPECT_EQ(queue.pop(25)->lane, PriorityClass::kInteractive);
  queue.push(item_of(1, 0, PriorityClass::kBatch, 0));
  EXPECT_EQ(queue.peek(25)->lane, PriorityClass::kInteractive);
}

TEST(FairQueueCharge, CountsCompletionTokensTwice) {
  FairQueue queue({});
  for (std::uint64_t tenant = 1; tenant <= 2; ++tenant) queue.push(item_of(tenant, tenant));
  queue.charge(PriorityClass::kNormal, TenantId{1}, 0, 5);
  queue.charge(PriorityClass::kNormal, TenantId{2}, 9, 0);
  EXPECT_EQ(queue.peek(0)->tenant, TenantId{2});
  queue.charge(PriorityClass::kNormal, TenantId{2}, 2, 0);
  EXPECT_EQ(queue.peek(0)->tenant, TenantId{1});
}

TEST(FairQueueCharge, HoldsInItsClassAlone) {
  FairQueue queue({});
  for (std::uint64_t tenant = 1; tenant <= 2; ++tenant) queue.push(item_of(tenant, tenant));
  queue.charge(PriorityClass::kBatch, TenantId{1}, 1000, 0);
  EXPECT_EQ(queue.peek(0)->tenant, TenantId{1});
}

TEST(FairQueueSetWeight, SharesTokensByWeight) {
  FairQueue queue({});
  queue.set_weight(TenantId{1}, 3);
  std::map<TenantId, int> served;
  for (std::uint64_t i = 0; i < 400; ++i) queue.push(item_of(i, 1 + i % 2));
  for (int i = 0; i < 200; ++i) {
    const auto next = queue.pop(0);
    ++served[next->tenant];
    queue.charge(next->lane, next->tenant, 7, 0);
  }
  EXPECT_EQ(served[TenantId{1}], 150);
}

TEST(FairQueuePush, LiftsATenantThatComesBack) {
  FairQueue queue({});
  queue.push(item_of(1, 1));
  queue.charge(PriorityClass::kNormal, TenantId{1}, 1000, 0);
  // What tenant 2 did not use before it asked is not owed to it.
  for (std::uint64_t id = 2; id <= 5; ++id) queue.push(item_of(id, 2));
  queue.charge(PriorityClass::kNormal, TenantId{2}, 1, 0);
  EXPECT_EQ(queue.peek(0)->tenant, TenantId{1});
}

TEST(FairQueuePush, LiftsToTheLastTenantWhenNobodyWaits) {
  FairQueue queue({});
  queue.push(item_of(1, 1));
  ASSERT_TRUE(queue.pop(0).has_value());
  queue.charge(PriorityClass::kNormal, TenantId{1}, 1000, 0);  // While it runs.
  queue.push(item_of(2, 2));
  queue.push(item_of(3, 1));
  queue.charge(PriorityClass::kNormal, TenantId{2}, 1, 0);
  EXPECT_EQ(queue.peek(0)->tenant, TenantId{1});
}

TEST(FairQueuePush, KeepsTheDebtOfATenantThatLeaves) {
  FairQueue queue({});
  for (std::uint64_t id = 1; id <= 3; ++id) queue.push(item_of(id, id == 1 ? 1 : 2));
  queue.charge(PriorityClass::kNormal, TenantId{1}, 1000, 0);
  EXPECT_TRUE(queue.remove(1));
  queue.push(item_of(1, 1));
  EXPECT_EQ(pop_all(queue), (Ids{2, 3, 1}));
}

TEST(FairQueueRemove, TakesOutTheHeadOrAnother) {
  FairQueue queue({});
  for (std::uint64_t id = 1; id <= 4; ++id) queue.push(item_of(id));
  EXPECT_TRUE(queue.remove(1));
  EXPECT_TRUE(queue.remove(3));
  EXPECT_FALSE(queue.remove(3));
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_EQ(pop_all(queue), (Ids{2, 4}));
}

TEST(FairQueueHold, OffersTheNextUntilItIsReleased) {
  FairQueue queue({});
  queue.push(item_of(1));
  queue.push(item_of(2));
  queue.hold(1);
  EXPECT_EQ(queue.peek(0)->id, 2U);
  EXPECT_EQ(queue.size(), 2U);
  queue.release(1);
  EXPECT_EQ(pop_all(queue), (Ids{1, 2}));
}

TEST(FairQueueHold, LeavesATenantItsCredit) {
  FairQueue queue({});
  queue.push(item_of(1, 0));
  queue.push(item_of(2, 1));
  queue.push(item_of(3, 1));
  queue.push(item_of(4, 2));
  queue.hold(1);  // All that tenant 0 has; the others are served meanwhile.
  queue.charge(PriorityClass::kNormal, TenantId{1}, 10, 0);
  queue.charge(PriorityClass::kNormal, TenantId{2}, 20, 0);
  queue.push(item_of(5, 0));
  EXPECT_EQ(queue.peek(0)->id, 5U);
  queue.release(1);
  EXPECT_EQ(pop_all(queue), (Ids{1, 5, 2, 3, 4}));
}

TEST(FairQueueHold, IsForgottenByRemove) {
  FairQueue queue({});
  queue.push(item_of(1));
  queue.hold(1);
  EXPECT_EQ(queue.peek(0), std::nullopt);
  EXPECT_TRUE(queue.remove(1));
  EXPECT_TRUE(queue.empty());
  queue.push(item_of(1));
  EXPECT_EQ(pop_all(queue), (Ids{1}));
}

TEST(FairQueueDeathTest, RefusesAnItemThatWaits) {
  GTEST_FLAG_SET(death_test_style, "fast");
  FairQueue queue({});
  queue.push(item_of(1));
  EXPECT_DEATH(queue.push(item_of(1, 2)), "waits already");
  EXPECT_DEATH(queue.set_weight(TenantId{1}, 0), "weight");
}

// The same queue written for the eye: everything is looked for among all items and all tenants.
class PlainQueue {
 public:
  explicit PlainQueue(const FairQueueConfig& config) : config_(config) {}

  void push(const FairQueue::Item& item) {
    lift(item.priority, item.tenant);
    items_[item.id] = {item, item.priority};
  }
  void remove(std::uint64_t id) {
    leave(id);
    items_.erase(id);
    held_.erase(id);
  }
  void hold(std::uint64_t id) { held_.insert(id); }
  void release(std::uint64_t id) { held_.erase(id); }
  void charge(PriorityClass lane, TenantId tenant, std::uint64_t prompt, std::uint64_t completion) {
    counters_[{lane, tenant}] +=
        prompt * config_.prompt_cost + completion * config_.completion_cost;
  }

  std::optional<FairQueue::Next> peek(std::int64_t now) {
    age(now);
    const Entry* best = nullptr;
    for (const auto& [id, entry] : items_) {
      if (held_.contains(id)) continue;
      if (best == nullptr || rank(entry) < rank(*best)) best = &entry;
    }
    if (best == nullptr) return std::nullopt;
    return FairQueue::Next{best->item.id, best->lane, best->item.tenant};
  }

 private:
  using Key = std::pair<PriorityClass, TenantId>;
  struct Entry {
    FairQueue::Item item;
    PriorityClass lane;
  };

  std::uint64_t head(const Entry& entry) const {
    std::uint64_t first = UINT64_MAX;
    for (const auto& [id, other] : items_) {
      if (held_.contains(id)) continue;
      if (other.lane == entry.lane && other.item.tenant == entry.item.tenant) {
        first = std::min(first, other.item.arrival);
      }
    }
    return first;
  }
  std::tuple<PriorityClass, std::uint64_t, std::uint64_t, std::uint64_t> rank(const Entry& e) {
    return {e.lane, counters_[{e.lane, e.item.tenant}], head(e), e.item.arrival};
  }

  void lift(PriorityClass lane, TenantId tenant) {
    std::optional<std::uint64_t> least;
    for (const auto& [id, entry] : items_) {
      if (entry.lane != lane) continue;
      if (entry.item.tenant == tenant) return;
      const std::uint64_t counter = counters_[{lane, entry.item.tenant}];
      least = std::min(least.value_or(counter), counter);
    }
    if (!least && last_.contains(lane)) least = counters_[{lane, last_[lane]}];
    std::uint64_t& mine = counters_[{lane, tenant}];
    mine = std::max(mine, least.value_or(0));
  }

  void leave(std::uint64_t id) {
    const Entry& entry = items_.at(id);
    const auto same = [&](const auto& other) {
      return other.second.lane == entry.lane && other.second.item.tenant == entry.item.tenant;
    };
    if (std::ranges::count_if(items_, same) == 1) last_[entry.lane] = entry.item.tenant;
  }

  void age(std::int64_t now) {
    for (;;) {
      std::optional<std::pair<std::int64_t, std::uint64_t>> first;
      for (const auto& [id, e] : items_) {
        if (e.lane == PriorityClass::kInteractive || held_.contains(id)) continue;
        const int times = static_cast<int>(e.item.priority) - static_cast<int>(e.lane) + 1;
        const std::pair due{e.item.since + times * config_.age_after, id};
        if (due.first <= now && (!first || due < *first)) first = due;
      }
      if (!first) return;
      Entry entry = items_.at(first->second);
      remove(first->second);
      entry.lane = static_cast<PriorityClass>(static_cast<int>(entry.lane) - 1);
      lift(entry.lane, entry.item.tenant);
      items_[first->second] = entry;
    }
  }

  FairQueueConfig config_;
  std::map<std::uint64_t, Entry> items_;
  std::set<std::uint64_t> held_;
  std::map<Key, std::uint64_t> counters_;
  std::map<PriorityClass, TenantId> last_;
};

TEST(FairQueue, DoesWhatThePlainQueueDoes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    FairQueueConfig config;
    config.age_after = 5 + static_cast<std::int64_t>(random() % 40);
    FairQueue queue(config);
    PlainQueue plain(config);
    Ids waiting;
    std::set<std::uint64_t> held;
    std::int64_t now = 0;
    for (std::uint64_t id = 1; id <= 300; ++id) {
      now += static_cast<std::int64_t>(random() % 3);
      const auto next = queue.peek(now);
      const auto wanted = plain.peek(now);
      ASSERT_EQ(next.has_value(), wanted.has_value());
      if (next) {
        ASSERT_EQ(next->id, wanted->id) << id;
        ASSERT_EQ(next->lane, wanted->lane) << id;
      }
      if (next && random() % 8 == 0) {
        queue.hold(next->id);
        plain.hold(next->id);
        held.insert(next->id);
      } else if (next && random() % 2 == 0) {
        queue.remove(next->id);
        plain.remove(next->id);
        std::erase(waiting, next->id);
        const std::uint64_t tokens = random() % 50;
        queue.charge(next->lane, next->tenant, tokens, 3);
        plain.charge(next->lane, next->tenant, tokens, 3);
      }
      if (!held.empty() && random() % 4 == 0) {
        const std::uint64_t back = *held.begin();
        queue.release(back);
        plain.release(back);
        held.erase(back);
      }
      if (random() % 4 != 0) {
        const FairQueue::Item item = item_of(id, random() % 4, kClasses[random() % 3],
                                             now - static_cast<std::int64_t>(random() % 8));
        queue.push(item);
        plain.push(item);
        waiting.push_back(id);
      } else if (!waiting.empty()) {
        const std::uint64_t gone = waiting[random() % waiting.size()];
        ASSERT_TRUE(queue.remove(gone));
        plain.remove(gone);
        held.erase(gone);
        std::erase(waiting, gone);
      }
      ASSERT_EQ(queue.size(), waiting.size());
    }
  }
}

// Theorem 4.4 of the paper: tenants that always have something waiting get tokens whose costs
// differ by at most twice the largest of what one item or one batch can cost.
TEST(FairQueue, KeepsTheFairnessBound) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    std::mt19937_64 random(seed);
    FairQueue queue({});
    std::map<TenantId, std::uint64_t> cost;
    std::uint64_t id = 0;
    const auto push = [&](std::uint64_t tenant) { queue.push(item_of(++id, tenant)); };
    for (std::uint64_t i = 0; i < 8; ++i) push(i % 4);
    constexpr std::uint64_t kLargest = 100;
    for (int i = 0; i < 2000; ++i) {
      const auto next = queue.pop(0);
      // Tenant 0 asks for long answers, tenant 1 for short ones.
      const std::uint64_t tokens =
          static_cast<std::uint64_t>(next->tenant) == 0
              ? kLargest
              : 1 + random() % (static_cast<std::uint64_t>(next->tenant) * 30);
      queue.charge(next->lane, next->tenant, tokens, 0);
      cost[next->tenant] += tokens;
      push(static_cast<std::uint64_t>(next->tenant));
      const auto [least, most] =
          std::ranges::minmax_element(cost, {}, [](const auto& entry) { return entry.second; });
      ASSERT_TRUE(cost.size() < 4 || most->second - least->second <= 2 * kLargest) << seed;
    }
  }
}

}  // namespace
}  // namespace lockstep
