// Once warm, planning and completing steps allocates nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "scheduler/scheduler.h"

namespace {
std::size_t num_allocations = 0;
}  // namespace

// This executable's, in every form, so that what one gives is what the other takes back (a form
// that is left out may come from elsewhere, from a sanitizer for one).
namespace {
void* allocate(std::size_t size) noexcept {
  ++num_allocations;
  return std::malloc(size);
}
void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  ++num_allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}
void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

#define REPLACED [[gnu::noinline]]
using Size = std::size_t;
using Align = std::align_val_t;
using NoThrow = std::nothrow_t;

REPLACED void* operator new(Size size) { return or_throw(allocate(size)); }
REPLACED void* operator new[](Size size) { return or_throw(allocate(size)); }
REPLACED void* operator new(Size size, const NoThrow&) noexcept { return allocate(size); }
REPLACED void* operator new[](Size size, const NoThrow&) noexcept { return allocate(size); }
REPLACED void* operator new(Size size, Align unit) { return or_throw(allocate(size, unit)); }
REPLACED void* operator new[](Size size, Align unit) { return or_throw(allocate(size, unit)); }
REPLACED void* operator new(Size size, Align unit, const NoThrow&) noexcept {
  return allocate(size, unit);
}
REPLACED void* operator new[](Size size, Align unit, const NoThrow&) noexcept {
  return allocate(size, unit);
}

REPLACED void operator delete(void* memory) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, Size) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, Size) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, const NoThrow&) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, const NoThrow&) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, Align) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, Align) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, Size, Align) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, Size, Align) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, Align, const NoThrow&) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, Align, const NoThrow&) noexcept { std::free(memory); }

namespace lockstep {
namespace {

SchedulerConfig config_of(int num_blocks) {
  SchedulerConfig config;
  config.num_blocks = num_blocks;
  return config;
}

// Sequences of 16 tenants.
void fill(Scheduler& scheduler, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    SequenceRequest request;
    request.id = SequenceId{i};
    request.arrival = i;
    request.tenant = TenantId{i % 16};
    request.tokens.assign(20 + i % 30, static_cast<std::uint32_t>(i));
    request.max_tokens = 800;
    ASSERT_TRUE(scheduler.add(std::move(request)).ok());
  }
}

void run_step(Scheduler& scheduler, std::vector<SampledToken>& sampled) {
  const StepPlan& plan = scheduler.plan_step();
  sampled.clear();
  for (const auto* entries : {&plan.decodes, &plan.prefills}) {
    for (const ScheduledSequence& entry : *entries) {
      if (entry.num_logits > 0) sampled.push_back({entry.sequence, 7});
    }
  }
  ASSERT_TRUE(scheduler.complete_step({plan.generation, plan.step, sampled}));
}

std::size_t allocations_of(Scheduler& scheduler, int warm_up, int steps) {
  std::vector<SampledToken> sampled;
  sampled.reserve(256);
  for (int i = 0; i < warm_up; ++i) run_step(scheduler, sampled);
  const std::size_t before = num_allocations;
  for (int i = 0; i < steps; ++i) run_step(scheduler, sampled);
  return num_allocations - before;
}

TEST(SchedulerAllocation, IsNoneWhileAllDecode) {
  Scheduler scheduler(config_of(256 * 10));
  fill(scheduler, 512);
  EXPECT_EQ(allocations_of(scheduler, 40, 60), 0U);
  EXPECT_EQ(scheduler.num_running(), 256);
  EXPECT_EQ(scheduler.num_waiting(), 256);
  EXPECT_EQ(scheduler.counts().preemptions, 0U);
}

TEST(SchedulerAllocation, IsNoneWhileSequencesArePreemptedAndComeBack) {
  Scheduler scheduler(config_of(300));
  fill(scheduler, 64);
  EXPECT_EQ(allocations_of(scheduler, 300, 100), 0U);
  EXPECT_GT(scheduler.counts().preemptions, 50U);
}

TEST(SchedulerAllocation, IsCounted) {
  Scheduler scheduler(config_of(64));
  const std::size_t before = num_allocations;
  fill(scheduler, 1);
  EXPECT_GT(num_allocations, before);
}

}  // namespace
}  // namespace lockstep
