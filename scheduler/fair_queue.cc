#include "scheduler/fair_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace lockstep {
namespace {

// Counters are in units of 1 / kMaxWeight of a cost of 1, so that a division by a weight keeps
// something. 64 bits last for 10^14 tokens.
constexpr std::uint64_t kUnit = FairQueue::kMaxWeight;

// Idle lines looked at per push: more than one, so that they become fewer.
constexpr int kForgetPerPush = 2;

constexpr PriorityClass above(PriorityClass c) {
  return static_cast<PriorityClass>(static_cast<std::uint8_t>(c) - 1);
}

}  // namespace

FairQueue::FairQueue(const FairQueueConfig& config)
    : config_(config),
      lanes_{Lane(&memory_), Lane(&memory_), Lane(&memory_)},
      entries_(&memory_),
      ageing_(&memory_) {
  CHECK(config.age_after >= 0, "ageing goes forward");
}

FairQueue::Standing FairQueue::standing(const Line& line, TenantId tenant) {
  return {line.counter, line.items.empty() ? Position{} : *line.items.begin(), tenant};
}

std::pmr::set<FairQueue::Standing>& FairQueue::place_of(Lane& lane, const Line& line) {
  if (!line.items.empty()) return lane.waiting;
  return line.num_held > 0 ? lane.held : lane.idle;
}

// Where a tenant that comes back begins: what it did not ask for, it cannot claim later.
std::uint64_t FairQueue::level(const Lane& lane) {
  std::optional<std::uint64_t> least;
  for (const auto* present : {&lane.waiting, &lane.held}) {
    if (present->empty()) continue;
    const std::uint64_t first = present->begin()->counter;
    least = std::min(least.value_or(first), first);
  }
  if (least) return *least;
  return lane.last_left ? lane.lines.at(*lane.last_left).counter : 0;
}

// Idle counters below the level would be lifted to it anyway.
void FairQueue::forget_idle(Lane& lane) {
  CHECK(!lane.waiting.empty(), "the last tenant's counter is needed");
  for (int i = 0; i < kForgetPerPush; ++i) {
    const auto lowest = lane.idle.begin();
    if (lowest == lane.idle.end() || lowest->counter > level(lane)) return;
    lane.lines.erase(lowest->tenant);
    lane.idle.erase(lowest);
  }
}

// Changes a line and puts it where it then stands.
template <typename Change>
void FairQueue::update(Lane& lane, TenantId tenant, Line& line, Change change) {
  auto& from = place_of(lane, line);
  auto node = from.extract(standing(line, tenant));
  CHECK(!node.empty(), "a tenant's line was lost");
  change();
  node.value() = standing(line, tenant);
  auto& to = place_of(lane, line);
  if (&to == &lane.idle && &from != &lane.idle) lane.last_left = tenant;
  to.insert(std::move(node));
}

FairQueue::Line& FairQueue::line_of(Lane& lane, TenantId tenant) {
  const auto [found, inserted] = lane.lines.try_emplace(tenant, &memory_);
  Line& line = found->second;
  if (inserted) {
    lane.idle.insert(standing(line, tenant));
    update(lane, tenant, line, [&] { line.counter = level(lane); });
  }
  return line;
}

void FairQueue::insert(Lane& lane, const Item& item) {
  Line& line = line_of(lane, item.tenant);
  update(lane, item.tenant, line, [&] {
    const bool was_idle = line.items.empty() && line.num_held == 0;
    if (was_idle) line.counter = std::max(line.counter, level(lane));
    line.items.insert({item.arrival, item.id});
  });
  ++lane.num_items;
  forget_idle(lane);
}

void FairQueue::erase(Lane& lane, const Item& item) {
  Line& line = lane.lines.at(item.tenant);
  update(lane, item.tenant, line, [&] { line.items.erase({item.arrival, item.id}); });
  --lane.num_items;
}

// An item rises for the n-th time when it has waited n * age_after.
std::optional<FairQueue::Due> FairQueue::due(const Entry& entry) const {
  if (config_.age_after == 0 || entry.lane == PriorityClass::kInteractive) return std::nullopt;
  const int risen = static_cast<int>(entry.item.priority) - static_cast<int>(entry.lane);
  return Due{entry.item.since + (risen + 1) * config_.age_after, entry.item.id};
}

void FairQueue::age(std::int64_t now) {
  while (!ageing_.empty() && ageing_.begin()->time <= now) {  // At most twice per item.
    Entry& entry = entries_.at(ageing_.begin()->id);
    ageing_.erase(ageing_.begin());
    erase(lane_of(entry.lane), entry.item);
    entry.lane = above(entry.lane);
    insert(lane_of(entry.lane), entry.item);
    if (const auto next = due(entry)) ageing_.insert(*next);
  }
}

void FairQueue::push(const Item& item) {
  CHECK(static_cast<int>(item.priority) < kNumPriorityClasses, "no such class");
  const auto [entry, inserted] = entries_.try_emplace(item.id, Entry{item, item.priority});
  CHECK(inserted, "this item waits already");
  insert(lane_of(item.priority), item);
  if (const auto first = due(entry->second)) ageing_.insert(*first);
}

std::optional<FairQueue::Next> FairQueue::peek(std::int64_t now) {
  age(now);
  for (int c = 0; c < kNumPriorityClasses; ++c) {
    const auto priority = static_cast<PriorityClass>(c);
    const Lane& lane = lane_of(priority);
    if (lane.waiting.empty()) continue;
    const Standing& first = *lane.waiting.begin();
    return Next{first.head.id, priority, first.tenant};
  }
  return std::nullopt;
}

std::optional<FairQueue::Next> FairQueue::pop(std::int64_t now) {
  const std::optional<Next> next = peek(now);
  if (next) remove(next->id);
  return next;
}

bool FairQueue::remove(ItemId id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  if (found->second.held) release(id);
  const Entry& entry = found->second;
  erase(lane_of(entry.lane), entry.item);
  if (const auto rise = due(entry)) ageing_.erase(*rise);
  entries_.erase(found);
  return true;
}

void FairQueue::hold(ItemId id) {
  Entry& entry = entries_.at(id);
  CHECK(!entry.held, "this item is held already");
  entry.held = true;
  if (const auto rise = due(entry)) ageing_.erase(*rise);
  Lane& lane = lane_of(entry.lane);
  Line& line = lane.lines.at(entry.item.tenant);
  update(lane, entry.item.tenant, line, [&] {
    line.items.erase({entry.item.arrival, id});
    ++line.num_held;
  });
  --lane.num_items;
}

void FairQueue::release(ItemId id) {
  Entry& entry = entries_.at(id);
  CHECK(entry.held, "this item is not held");
  entry.held = false;
  if (const auto rise = due(entry)) ageing_.insert(*rise);
  Lane& lane = lane_of(entry.lane);
  Line& line = lane.lines.at(entry.item.tenant);
  update(lane, entry.item.tenant, line, [&] {
    --line.num_held;
    line.items.insert({entry.item.arrival, id});
  });
  ++lane.num_items;
}

void FairQueue::charge(PriorityClass priority, TenantId tenant, std::uint64_t prompt_tokens,
                       std::uint64_t completion_tokens) {
  const std::uint64_t cost =
      prompt_tokens * config_.prompt_cost + completion_tokens * config_.completion_cost;
  const auto weight = weights_.find(tenant);
  const std::uint64_t units = cost * kUnit / (weight == weights_.end() ? 1 : weight->second);
  Lane& lane = lane_of(priority);
  Line& line = line_of(lane, tenant);
  update(lane, tenant, line, [&] { line.counter += units; });
}

void FairQueue::set_weight(TenantId tenant, std::uint32_t weight) {
  CHECK(weight >= 1 && weight <= kMaxWeight, "a weight from 1 to kMaxWeight");
  if (weight == 1) {
    weights_.erase(tenant);
  } else {
    weights_[tenant] = weight;
  }
}

std::size_t FairQueue::size(PriorityClass lane) const {
  return lanes_[static_cast<std::size_t>(lane)].num_items;
}

}  // namespace lockstep
