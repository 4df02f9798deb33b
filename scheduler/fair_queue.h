// What waits, in the order in which it is to be served: classes first, with ageing; inside a class
// fair over tenants by virtual token counters; inside a tenant first come, first served.
//
// Source of the counters: Sheng et al. 2023, "Fairness in Serving Large Language Models",
// arXiv:2401.00588, algorithm 2 (weighted tokens, counter lift), with a weight per tenant. Pure:
// time is an argument. All operations are O(log n); once it was as full before, none allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <set>
#include <unordered_map>

#include "scheduler/priority.h"

namespace lockstep {

struct FairQueueConfig {
  // What a token costs its tenant; as in the paper's evaluation.
  std::uint32_t prompt_cost = 1;
  std::uint32_t completion_cost = 2;
  // An item rises by one class each time it has waited this long, in the caller's unit of time.
  // 0: never.
  std::int64_t age_after = 0;
};

class FairQueue {
 public:
  // What waits; the caller's number for it.
  using ItemId = std::uint64_t;

  struct Item {
    ItemId id = 0;
    PriorityClass priority = PriorityClass::kNormal;
    TenantId tenant{};
    std::uint64_t arrival = 0;  // Smaller goes first inside class and tenant; equal ones by id.
    std::int64_t since = 0;     // Ageing counts from here. Who arrived later must not be older.
  };

  // Who is next, and the class that it has risen to: the one to charge.
  struct Next {
    ItemId id = 0;
    PriorityClass lane = PriorityClass::kNormal;
    TenantId tenant{};
  };

  static constexpr std::uint32_t kMaxWeight = 1 << 16;

  explicit FairQueue(const FairQueueConfig& config);
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  // Requires: no item with this id waits. An item may come back (after preemption, from a lost
  // replica) with the arrival and the time that it had.
  void push(const Item& item);

  // Who is to be served next; it stays in the queue. Ages what is due at `now`.
  std::optional<Next> peek(std::int64_t now);

  // peek() and remove().
  std::optional<Next> pop(std::int64_t now);

  // Takes an item out, served, held or neither. False: there is none.
  bool remove(ItemId id);

  // Takes an item out for a while: nobody is offered it, but its tenant loses nothing, as one that
  // has nothing waiting would. It does not rise meanwhile. Requires: it waits.
  void hold(ItemId id);

  // Puts it back. Requires: it is held.
  void release(ItemId id);

  // Counts tokens that a tenant was served in a class (as Next::lane says), at any time.
  void charge(PriorityClass priority, TenantId tenant, std::uint64_t prompt_tokens,
              std::uint64_t completion_tokens);

  // A tenant of weight 2 gets twice the tokens of one of weight 1, which all have at first.
  // Requires: 1 <= weight <= kMaxWeight.
  void set_weight(TenantId tenant, std::uint32_t weight);

  // Held items too.
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  bool contains(ItemId id) const { return entries_.contains(id); }
  // What waits in a class, as it has risen by the last peek().
  std::size_t size(PriorityClass lane) const;

 private:
  struct Position {  // Of an item in its tenant's line.
    std::uint64_t arrival = 0;
    ItemId id = 0;
    auto operator<=>(const Position&) const = default;
  };
  struct Due {  // When an item rises.
    std::int64_t time = 0;
    ItemId id = 0;
    auto operator<=>(const Due&) const = default;
  };
  struct Standing {  // Of a tenant in its class; the smallest counter goes first.
    std::uint64_t counter = 0;
    Position head;  // Equal counters: who came first.
    TenantId tenant{};
    auto operator<=>(const Standing&) const = default;
  };
  struct Entry {
    Item item;
    PriorityClass lane = PriorityClass::kNormal;
    bool held = false;
  };
  struct Line {  // A tenant's items in one class.
    explicit Line(std::pmr::memory_resource* memory) : items(memory) {}
    std::pmr::set<Position> items;
    std::size_t num_held = 0;
    std::uint64_t counter = 0;
  };
  struct Lane {  // Of a class. Every line stands in one of the three sets.
    explicit Lane(std::pmr::memory_resource* memory)
        : lines(memory), waiting(memory), held(memory), idle(memory) {}
    std::pmr::unordered_map<TenantId, Line> lines;
    std::pmr::set<Standing> waiting;  // Tenants with items.
    std::pmr::set<Standing> held;     // Tenants all of whose items are held.
    std::pmr::set<Standing> idle;     // Tenants without, whose counter still means something.
    std::optional<TenantId> last_left;
    std::size_t num_items = 0;
  };

  Lane& lane_of(PriorityClass c) { return lanes_[static_cast<std::size_t>(c)]; }
  static Standing standing(const Line& line, TenantId tenant);
  static std::pmr::set<Standing>& place_of(Lane& lane, const Line& line);
  static std::uint64_t level(const Lane& lane);
  static void forget_idle(Lane& lane);
  template <typename Change>
  static void update(Lane& lane, TenantId tenant, Line& line, Change change);
  Line& line_of(Lane& lane, TenantId tenant);
  void insert(Lane& lane, const Item& item);
  static void erase(Lane& lane, const Item& item);
  std::optional<Due> due(const Entry& entry) const;
  void age(std::int64_t now);

  FairQueueConfig config_;
  std::pmr::unsynchronized_pool_resource memory_;  // Gives freed nodes again.
  std::array<Lane, kNumPriorityClasses> lanes_;
  std::pmr::unordered_map<ItemId, Entry> entries_;
  std::pmr::set<Due> ageing_;
  std::unordered_map<TenantId, std::uint32_t> weights_;  // Other than 1.
};

}  // namespace lockstep
