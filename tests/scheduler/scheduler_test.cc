#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace lockstep {
namespace {

using Tokens = std::vector<std::uint32_t>;

constexpr std::uint32_t kAnswer = 1000;  // What every sampling sequence gets.

Tokens prompt_of(std::uint32_t count, std::uint32_t first = 0) {
  Tokens out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

SchedulerConfig config_of(int num_blocks) {
  SchedulerConfig config;
  config.num_blocks = num_blocks;
  return config;
}

// Completes the step as a model would that answers kAnswer.
void complete(Scheduler& scheduler, const StepPlan& plan, bool samples = true) {
  std::vector<SampledToken> sampled;
  for (const auto* entries : {&plan.decodes, &plan.prefills}) {
    for (const ScheduledSequence& entry : *entries) {
      if (samples && entry.num_logits > 0) sampled.push_back({entry.sequence, kAnswer});
    }
  }
  ASSERT_TRUE(scheduler.complete_step({plan.generation, plan.step, sampled}));
}

StepPlan run_step(Scheduler& scheduler) {
  StepPlan plan = scheduler.plan_step();
  complete(scheduler, plan);
  return plan;
}

std::vector<std::uint64_t> ids(const std::vector<ScheduledSequence>& entries) {
  std::vector<std::uint64_t> out;
  for (const auto& entry : entries) out.push_back(static_cast<std::uint64_t>(entry.sequence));
  return out;
}

SequenceRequest request_of(std::uint64_t id, Tokens prompt, std::uint32_t max_tokens) {
  SequenceRequest request;
  request.id = SequenceId{id};
  request.tokens = std::move(prompt);
  request.max_tokens = max_tokens;
  return request;
}

SequenceRequest scored(std::uint64_t id, Tokens prompt, std::uint32_t max_tokens) {
  SequenceRequest request = request_of(id, std::move(prompt), max_tokens);
  request.score_prompt = true;
  return request;
}

SequenceRequest of_class(SequenceRequest request, PriorityClass priority) {
  request.priority = priority;
  return request;
}

void must_add(Scheduler& scheduler, SequenceRequest request) {
  const Status status = scheduler.add(std::move(request));
  ASSERT_TRUE(status.ok()) << status.error().message;
}

void must_add(Scheduler& scheduler, std::uint64_t id, Tokens prompt, std::uint32_t max_tokens) {
  must_add(scheduler, request_of(id, std::move(prompt), max_tokens));
}

using Ids = std::vector<std::uint64_t>;

TEST(SchedulerAdd, RefusesAnEmptyPrompt) {
  Scheduler scheduler(config_of(4));
  EXPECT_EQ(scheduler.add(request_of(1, {}, 8)).error().code, ErrorCode::kInvalidArgument);
}

TEST(SchedulerAdd, RefusesAnIdInUse) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 8);
  EXPECT_EQ(scheduler.add(request_of(1, {1}, 8)).error().code, ErrorCode::kInvalidArgument);
  run_step(scheduler);
  EXPECT_EQ(scheduler.add(request_of(1, {1}, 8)).error().code, ErrorCode::kInvalidArgument);
  scheduler.finish(SequenceId{1});
  EXPECT_TRUE(scheduler.add(request_of(1, {1}, 8)).ok());
}

TEST(SchedulerAdd, RefusesAtOnceWhatCouldNeverFit) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 64);
  const Status status = scheduler.add(request_of(2, {1}, 65));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kExhausted);
  EXPECT_NE(status.error().message.find("65 tokens, the KV cache holds 64"), std::string::npos);
  EXPECT_EQ(scheduler.num_waiting(), 1);
}

TEST(SchedulerAdd, CountsOneTokenBehindThePrompt) {
  Scheduler scheduler(config_of(1));
  EXPECT_FALSE(scheduler.add(request_of(1, prompt_of(16), 1)).ok());
  EXPECT_TRUE(scheduler.add(request_of(1, prompt_of(15), 1)).ok());
  // A prompt that is only scored gets no token.
  EXPECT_TRUE(scheduler.add(scored(2, prompt_of(16), 1)).ok());
}

TEST(SchedulerPlanStep, PlansNothingWhenThereIsNothingToDo) {
  Scheduler scheduler(config_of(4));
  EXPECT_TRUE(scheduler.plan_step().empty());
  EXPECT_TRUE(scheduler.plan_step().empty());
}

TEST(SchedulerPlanStep, NumbersTheStepsThatAreCarriedOut) {
  Scheduler scheduler(config_of(4));
  (void)scheduler.plan_step();
  must_add(scheduler, 1, {1}, 8);
  EXPECT_EQ(run_step(scheduler).step, StepId{0});
  EXPECT_EQ(run_step(scheduler).step, StepId{1});
}

TEST(SchedulerPlanStep, PutsDecodesBeforePrefills) {
  SchedulerConfig config = config_of(64);
  config.max_step_tokens = 8;
  Scheduler scheduler(config);
  must_add(scheduler, 1, {1}, 20);
  must_add(scheduler, 2, {2}, 20);
  run_step(scheduler);
  must_add(scheduler, 3, prompt_of(100), 120);
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(ids(plan.decodes), (Ids{1, 2}));
  EXPECT_EQ(ids(plan.prefills), (Ids{3}));
  EXPECT_EQ(plan.prefills[0].tokens, prompt_of(6));
  EXPECT_EQ(plan.num_tokens(), 8);
}

TEST(SchedulerPlanStep, PrefillsInOrderOfArrival) {
  SchedulerConfig config = config_of(64);
  config.max_step_tokens = 10;
  config.chunk_tokens = 6;
  Scheduler scheduler(config);
  for (const std::uint64_t id : {7, 3, 5}) {
    SequenceRequest request = request_of(id, prompt_of(8), 20);
    request.arrival = id == 7 ? 1 : id;  // 7, then 3, 5: not by id.
    must_add(scheduler, request);
  }
  const StepPlan first = run_step(scheduler);
  EXPECT_EQ(ids(first.prefills), (Ids{7, 3}));
  EXPECT_EQ(first.prefills[0].tokens.size(), 6U);  // The chunk.
  EXPECT_EQ(first.prefills[1].tokens.size(), 4U);  // The rest of the step.
  const StepPlan second = run_step(scheduler);
  EXPECT_EQ(ids(second.prefills), (Ids{7, 3, 5}));
  EXPECT_EQ(second.prefills[0].first_position, 6U);
  EXPECT_EQ(second.prefills[0].tokens, prompt_of(2, 6));
  EXPECT_EQ(second.prefills[1].tokens, prompt_of(4, 4));
  EXPECT_EQ(second.prefills[2].tokens, prompt_of(4));
}

TEST(SchedulerPlanStep, BoundsTheNumberOfSequences) {
  SchedulerConfig config = config_of(64);
  config.max_step_sequences = 2;
  Scheduler scheduler(config);
  for (const std::uint64_t id : {1, 2, 3}) must_add(scheduler, id, {1}, 8);
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{1, 2}));
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(ids(plan.decodes), (Ids{1, 2}));
  EXPECT_TRUE(plan.prefills.empty());
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{3}));
}

TEST(SchedulerPlanStep, AsksForLogitsOnceThePromptIsDone) {
  SchedulerConfig config = config_of(8);
  config.chunk_tokens = 4;
  Scheduler scheduler(config);
  must_add(scheduler, 1, prompt_of(9), 12);
  EXPECT_EQ(run_step(scheduler).prefills[0].num_logits, 0U);
  EXPECT_EQ(run_step(scheduler).prefills[0].num_logits, 0U);
  EXPECT_EQ(run_step(scheduler).prefills[0].num_logits, 1U);
  const StepPlan decode = run_step(scheduler);
  ASSERT_EQ(decode.decodes.size(), 1U);
  EXPECT_EQ(decode.decodes[0].num_logits, 1U);
  EXPECT_EQ(decode.decodes[0].tokens, Tokens{kAnswer});
  EXPECT_EQ(decode.decodes[0].first_position, 9U);
}

TEST(SchedulerPlanStep, NamesABlockWhenATokenNeedsIt) {
  Scheduler scheduler(config_of(3));
  must_add(scheduler, 1, prompt_of(15), 40);
  const StepPlan first = run_step(scheduler);
  EXPECT_EQ(first.prefills[0].known_blocks, 0U);
  EXPECT_EQ(first.prefills[0].new_blocks.size(), 1U);
  EXPECT_TRUE(run_step(scheduler).decodes[0].new_blocks.empty());  // Position 15.
  const StepPlan third = run_step(scheduler);                      // Position 16.
  EXPECT_EQ(third.decodes[0].known_blocks, 1U);
  EXPECT_EQ(third.decodes[0].new_blocks.size(), 1U);
}

TEST(SchedulerPlanStep, AdmitsWhenTheTokensSoFarHaveBlocks) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, prompt_of(20), 64);  // Never all of its length at once.
  must_add(scheduler, 2, prompt_of(20, 500), 64);
  must_add(scheduler, 3, {3}, 16);
  // The second would take the block that the first may need next. The third does not overtake.
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{1}));
  EXPECT_EQ(scheduler.num_waiting(), 2);
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{2, 3}));
}

TEST(SchedulerPlanStep, AdmitsWhatFillsTheWholeCache) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, prompt_of(63), 64);
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{1}));
}

TEST(SchedulerPlanStep, PutsHigherClassesFirst) {
  Scheduler scheduler(config_of(16));
  must_add(scheduler, of_class(request_of(1, {1}, 8), PriorityClass::kBatch));
  must_add(scheduler, of_class(request_of(2, {1}, 8), PriorityClass::kNormal));
  must_add(scheduler, of_class(request_of(3, {1}, 8), PriorityClass::kInteractive));
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{3, 2, 1}));
  EXPECT_EQ(ids(run_step(scheduler).decodes), (Ids{3, 2, 1}));
}

TEST(SchedulerPlanStep, AdmitsTheTenantThatGotLeast) {
  SchedulerConfig config = config_of(16);
  config.max_step_sequences = 1;
  Scheduler scheduler(config);
  for (const std::uint64_t id : {1, 2, 3, 4}) {
    SequenceRequest request = request_of(id, prompt_of(8), 16);
    request.tenant = TenantId{id <= 2 ? 1U : 2U};
    must_add(scheduler, request);
  }
  Ids order;
  for (int i = 0; i < 4; ++i) {
    order.push_back(ids(run_step(scheduler).prefills)[0]);
    scheduler.finish(SequenceId{order.back()});
  }
  EXPECT_EQ(order, (Ids{1, 3, 2, 4}));
}

TEST(SchedulerPreempt, TakesTheBlocksOfTheLatestInTheLowestClass) {
  Scheduler scheduler(config_of(5));
  must_add(scheduler, of_class(request_of(1, prompt_of(16, 0), 64), PriorityClass::kBatch));
  must_add(scheduler, of_class(request_of(2, prompt_of(16, 100), 64), PriorityClass::kNormal));
  must_add(scheduler, of_class(request_of(3, prompt_of(16, 200), 64), PriorityClass::kNormal));
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{2, 3, 1}));
  // Each needs a second block; two are left.
  must_add(scheduler, of_class(request_of(4, {1}, 8), PriorityClass::kInteractive));
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(ids(plan.decodes), (Ids{2, 3}));
  EXPECT_EQ(plan.finished, std::vector<SequenceId>{SequenceId{1}});
  EXPECT_TRUE(plan.prefills.empty());  // Nobody is admitted in a step that preempted.
  EXPECT_EQ(scheduler.counts().preemptions, 1U);
  EXPECT_EQ(scheduler.num_waiting(), 2);
}

TEST(SchedulerPreempt, ComputesAgainWhatIsKnownAndNothingTwice) {
  SchedulerConfig config = config_of(3);
  config.reuse_prefixes = false;
  Scheduler scheduler(config);
  must_add(scheduler, 1, prompt_of(15), 32);
  must_add(scheduler, 2, prompt_of(15, 100), 32);
  for (int i = 0; i < 2; ++i) run_step(scheduler);
  // Both have 17 tokens; the second gave its block back.
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(ids(plan.decodes), (Ids{1}));
  scheduler.finish(SequenceId{1});
  const StepPlan again = run_step(scheduler);
  ASSERT_EQ(ids(again.prefills), (Ids{2}));
  Tokens known = prompt_of(15, 100);
  known.insert(known.end(), {kAnswer, kAnswer});
  EXPECT_EQ(again.prefills[0].tokens, known);
  EXPECT_EQ(again.prefills[0].first_position, 0U);
  EXPECT_EQ(again.prefills[0].known_blocks, 0U);
  EXPECT_EQ(again.prefills[0].num_logits, 1U);
}

TEST(SchedulerPreempt, MakesRoomForAHigherClass) {
  SchedulerConfig config = config_of(16);
  config.max_step_sequences = 2;
  Scheduler scheduler(config);
  for (const std::uint64_t id : {1, 2}) {
    must_add(scheduler, of_class(request_of(id, {1}, 8), PriorityClass::kBatch));
  }
  run_step(scheduler);
  must_add(scheduler, of_class(request_of(3, {1}, 8), PriorityClass::kNormal));
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(ids(plan.decodes), (Ids{1}));
  EXPECT_TRUE(plan.prefills.empty());
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{3}));
  // Its equals wait.
  must_add(scheduler, of_class(request_of(4, {1}, 8), PriorityClass::kBatch));
  EXPECT_EQ(ids(run_step(scheduler).decodes), (Ids{3, 1}));
  EXPECT_EQ(scheduler.counts().preemptions, 1U);
}

TEST(SchedulerPreempt, DoesNotTakeBackInVain) {
  Scheduler scheduler(config_of(8));
  must_add(scheduler, of_class(request_of(1, prompt_of(90), 120), PriorityClass::kInteractive));
  must_add(scheduler, of_class(request_of(2, {1}, 16), PriorityClass::kBatch));
  run_step(scheduler);
  must_add(scheduler, of_class(request_of(3, prompt_of(60, 900), 80), PriorityClass::kNormal));
  EXPECT_EQ(ids(run_step(scheduler).decodes), (Ids{1, 2}));
  EXPECT_EQ(scheduler.counts().preemptions, 0U);
}

TEST(SchedulerPreempt, LeavesAPlanEmptyOnceWhenAllMadeRoom) {
  SchedulerConfig config = config_of(16);
  config.max_step_sequences = 1;
  Scheduler scheduler(config);
  must_add(scheduler, of_class(request_of(1, {1}, 8), PriorityClass::kBatch));
  run_step(scheduler);
  must_add(scheduler, of_class(request_of(2, {1}, 8), PriorityClass::kNormal));
  EXPECT_TRUE(scheduler.plan_step().empty());
  EXPECT_EQ(scheduler.num_waiting(), 2);
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(ids(plan.prefills), (Ids{2}));
  EXPECT_EQ(plan.finished, std::vector<SequenceId>{SequenceId{1}});
}

TEST(SchedulerAge, KeepsWhatHasRisenFromMakingRoom) {
  SchedulerConfig config = config_of(16);
  config.max_step_sequences = 1;
  config.age_steps = 2;
  Scheduler scheduler(config);
  must_add(scheduler, of_class(request_of(1, {1}, 16), PriorityClass::kInteractive));
  must_add(scheduler, of_class(request_of(2, {1}, 16), PriorityClass::kBatch));
  for (int i = 0; i < 4; ++i) run_step(scheduler);
  must_add(scheduler, of_class(request_of(3, {1}, 16), PriorityClass::kInteractive));
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(ids(run_step(scheduler).prefills), (Ids{2}));  // Risen, and there first.
  EXPECT_EQ(ids(run_step(scheduler).decodes), (Ids{2}));
}

TEST(SchedulerResume, GoesOnBehindWhatWasDelivered) {
  Scheduler scheduler(config_of(8));
  SequenceRequest request = request_of(1, prompt_of(20), 40);
  request.prompt_tokens = 17;
  must_add(scheduler, request);
  StepPlan plan = run_step(scheduler);
  EXPECT_EQ(plan.prefills[0].tokens, prompt_of(20));
  EXPECT_EQ(plan.prefills[0].num_logits, 1U);
  plan = run_step(scheduler);
  EXPECT_EQ(plan.decodes[0].first_position, 20U);
  request.id = SequenceId{2};
  request.prompt_tokens = 21;
  EXPECT_EQ(scheduler.add(request).error().code, ErrorCode::kInvalidArgument);
}

TEST(SchedulerPlanStep, AsksForAllLogitsOfAScoredPrompt) {
  SchedulerConfig config = config_of(8);
  config.chunk_tokens = 20;
  Scheduler scheduler(config);
  must_add(scheduler, 1, prompt_of(33), 40);
  while (scheduler.pool().match_prefix({}, prompt_of(32)).blocks < 2) {
    complete(scheduler, scheduler.plan_step(), false);
  }
  scheduler.finish(SequenceId{1});
  ASSERT_TRUE(scheduler.add(scored(2, prompt_of(33), 33)).ok());
  StepPlan plan = scheduler.plan_step();
  ASSERT_EQ(plan.prefills.size(), 1U);
  EXPECT_EQ(plan.prefills[0].first_position, 0U);  // Nothing of it comes from the cache.
  EXPECT_EQ(plan.prefills[0].num_logits, 20U);
  complete(scheduler, plan, false);
  plan = scheduler.plan_step();
  EXPECT_EQ(plan.prefills[0].num_logits, 13U);
  complete(scheduler, plan, false);
  EXPECT_TRUE(scheduler.plan_step().empty());
  EXPECT_EQ(scheduler.num_running(), 1);  // Until it is finished.
}

TEST(SchedulerPlanStepDeathTest, NeedsTheStepBeforeToBeCompleted) {
  GTEST_FLAG_SET(death_test_style, "fast");
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 8);
  (void)scheduler.plan_step();
  EXPECT_DEATH((void)scheduler.plan_step(), "before the last step was completed");
}

TEST(SchedulerCompleteStepDeathTest, RefusesATokenThatWasNotAskedFor) {
  GTEST_FLAG_SET(death_test_style, "fast");
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 8);
  (void)scheduler.plan_step();
  const std::vector<SampledToken> wrong = {{SequenceId{2}, 1}};
  EXPECT_DEATH(scheduler.complete_step({GenerationId{}, StepId{0}, wrong}), "did not ask for");
}

TEST(SchedulerCompleteStep, DropsAResultThatIsNotOfTheStepInFlight) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 8);
  const StepPlan plan = scheduler.plan_step();
  const std::vector<SampledToken> sampled = {{SequenceId{1}, kAnswer}};
  EXPECT_FALSE(scheduler.complete_step({GenerationId{1}, plan.step, sampled}));
  EXPECT_FALSE(scheduler.complete_step({plan.generation, StepId{1}, sampled}));
  EXPECT_TRUE(scheduler.complete_step({plan.generation, plan.step, sampled}));
  EXPECT_FALSE(scheduler.complete_step({plan.generation, plan.step, sampled}));
  EXPECT_EQ(run_step(scheduler).decodes[0].first_position, 1U);
}

TEST(SchedulerBeginGeneration, DropsEverythingAndWhatIsInFlight) {
  Scheduler scheduler(config_of(8));
  must_add(scheduler, 1, prompt_of(20), 30);
  run_step(scheduler);
  must_add(scheduler, 2, {1}, 8);
  const StepPlan old = scheduler.plan_step();
  must_add(scheduler, 3, {1}, 8);
  scheduler.begin_generation(GenerationId{7});
  EXPECT_EQ(scheduler.num_waiting() + scheduler.num_running(), 0);
  EXPECT_EQ(scheduler.pool().num_referenced(), 0);
  must_add(scheduler, 2, {1}, 8);
  const StepPlan plan = scheduler.plan_step();
  EXPECT_EQ(plan.generation, GenerationId{7});
  EXPECT_EQ(std::set<SequenceId>(plan.finished.begin(), plan.finished.end()),
            (std::set<SequenceId>{SequenceId{1}, SequenceId{2}}));
  EXPECT_FALSE(scheduler.complete_step({old.generation, old.step, {}}));
  complete(scheduler, plan);
  EXPECT_EQ(ids(run_step(scheduler).decodes), (Ids{2}));
}

// The prefill of `prompt` behind a finished sequence that computed `before`.
ScheduledSequence prefill_after(const Tokens& before, const Tokens& prompt, bool reuse = true) {
  SchedulerConfig config = config_of(16);
  config.reuse_prefixes = reuse;
  Scheduler scheduler(config);
  must_add(scheduler, 1, before, 0);
  run_step(scheduler);
  scheduler.finish(SequenceId{1});
  must_add(scheduler, 2, prompt, 0);
  const StepPlan plan = scheduler.plan_step();
  EXPECT_EQ(scheduler.cached_tokens(SequenceId{2}), plan.prefills[0].first_position);
  return plan.prefills[0];
}

TEST(SchedulerPrefixReuse, ComputesOnlyWhatIsNew) {
  Tokens longer = prompt_of(40);
  longer.push_back(7);
  const ScheduledSequence entry = prefill_after(prompt_of(40), longer);
  EXPECT_EQ(entry.first_position, 32U);
  EXPECT_EQ(entry.tokens.size(), 9U);
  EXPECT_EQ(entry.new_blocks.size(), 3U);  // The shared ones are named too.
  EXPECT_EQ(entry.num_logits, 1U);
}

TEST(SchedulerPrefixReuse, AlwaysComputesTheLastPromptToken) {
  const ScheduledSequence entry = prefill_after(prompt_of(32), prompt_of(32));
  EXPECT_EQ(entry.first_position, 16U);
  EXPECT_EQ(entry.tokens.size(), 16U);
  EXPECT_EQ(prefill_after(prompt_of(32), prompt_of(33)).tokens, prompt_of(1, 32));
}

TEST(SchedulerPrefixReuse, GoesByEqualTokens) {
  Tokens other = prompt_of(48);
  other[17] = 999;
  EXPECT_EQ(prefill_after(prompt_of(48), other).first_position, 16U);
  other[0] = 999;
  EXPECT_EQ(prefill_after(prompt_of(48), other).first_position, 0U);
}

TEST(SchedulerPrefixReuse, SharesAmongEqualSaltsAlone) {
  for (const int salt : {0, 1}) {
    Scheduler scheduler(config_of(16));
    must_add(scheduler, 1, prompt_of(40), 50);
    run_step(scheduler);
    SequenceRequest request = request_of(2, prompt_of(40), 50);
    request.salt.bytes[0] = static_cast<std::uint8_t>(salt);
    must_add(scheduler, request);
    EXPECT_EQ(run_step(scheduler).prefills[0].first_position, salt == 0 ? 32U : 0U);
  }
}

TEST(SchedulerPrefixReuse, CanBeTurnedOff) {
  EXPECT_EQ(prefill_after(prompt_of(48), prompt_of(48), false).first_position, 0U);
}

TEST(SchedulerPrefixReuse, TakesCompletionTokensToo) {
  Scheduler scheduler(config_of(16));
  must_add(scheduler, 1, prompt_of(15), 40);
  for (int i = 0; i < 3; ++i) run_step(scheduler);  // Computes positions 0 to 16.
  Tokens next = prompt_of(15);
  next.insert(next.end(), {kAnswer, 5});
  must_add(scheduler, 2, next, 40);
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(plan.prefills[0].first_position, 16U);  // While the first one still runs.
}

TEST(SchedulerPrefixReuse, DoesNotTakeWhatAStepHasYetToCompute) {
  Scheduler scheduler(config_of(16));
  must_add(scheduler, 1, prompt_of(40), 50);
  must_add(scheduler, 2, prompt_of(40), 50);
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(plan.prefills[1].first_position, 0U);
  std::set<BlockId> blocks;
  for (const auto& entry : plan.prefills) {
    blocks.insert(entry.new_blocks.begin(), entry.new_blocks.end());
  }
  EXPECT_EQ(blocks.size(), 6U);
}

TEST(SchedulerPrefixReuse, AdmitsASequenceWhosePrefixIsAllThatIsLeft) {
  Scheduler scheduler(config_of(3));
  must_add(scheduler, 1, prompt_of(33), 34);
  run_step(scheduler);
  scheduler.finish(SequenceId{1});
  ASSERT_EQ(scheduler.pool().num_cached(), 2);
  must_add(scheduler, 2, prompt_of(40), 48);
  const StepPlan plan = scheduler.plan_step();
  ASSERT_EQ(plan.prefills.size(), 1U);
  EXPECT_EQ(plan.prefills[0].first_position, 32U);
  EXPECT_EQ(scheduler.pool().num_referenced(), 3);
}

TEST(SchedulerFinish, ForgetsAWaitingSequenceWithoutAWord) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, prompt_of(50), 64);
  must_add(scheduler, 2, {2}, 64);
  run_step(scheduler);
  ASSERT_EQ(scheduler.num_waiting(), 1);
  scheduler.finish(SequenceId{2});
  EXPECT_EQ(scheduler.num_waiting(), 0);
  EXPECT_TRUE(run_step(scheduler).finished.empty());
}

TEST(SchedulerFinish, IgnoresAnUnknownId) {
  Scheduler scheduler(config_of(4));
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(scheduler.num_running(), 0);
}

TEST(SchedulerFinish, FreesTheBlocksAndTellsTheNextPlan) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, prompt_of(50), 64);
  must_add(scheduler, 2, {2}, 64);
  run_step(scheduler);
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(scheduler.pool().num_referenced(), 0);
  const StepPlan plan = run_step(scheduler);
  EXPECT_EQ(plan.finished, std::vector<SequenceId>{SequenceId{1}});
  EXPECT_EQ(ids(plan.prefills), Ids{2});
  EXPECT_TRUE(run_step(scheduler).finished.empty());
}

TEST(SchedulerFinish, IsToldByThePlanThatIsCarriedOut) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 8);
  run_step(scheduler);
  scheduler.finish(SequenceId{1});
  const StepPlan idle = scheduler.plan_step();  // Nobody carries out a plan without work.
  EXPECT_TRUE(idle.empty());
  EXPECT_TRUE(idle.finished.empty());
  must_add(scheduler, 2, {1}, 8);
  EXPECT_EQ(run_step(scheduler).finished, std::vector<SequenceId>{SequenceId{1}});
}

TEST(SchedulerFinish, EndsASequenceWhileItsStepRuns) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, prompt_of(20), 30);
  must_add(scheduler, 2, {9}, 30);
  const StepPlan plan = scheduler.plan_step();
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(scheduler.pool().num_referenced(), 3);  // Ranks may be writing to them.
  complete(scheduler, plan);
  EXPECT_EQ(scheduler.pool().num_referenced(), 1);
  EXPECT_EQ(scheduler.pool().num_cached(), 0);  // What it computed is not kept.
  const StepPlan next = run_step(scheduler);
  EXPECT_EQ(ids(next.decodes), Ids{2});
  EXPECT_EQ(next.finished, std::vector<SequenceId>{SequenceId{1}});
}

TEST(SchedulerCompleteStep, LeavesASequenceWithoutATokenWhereItIs) {
  Scheduler scheduler(config_of(4));
  must_add(scheduler, 1, {1}, 8);
  complete(scheduler, scheduler.plan_step(), false);  // As when its logits were not finite.
  EXPECT_TRUE(scheduler.plan_step().empty());
  scheduler.finish(SequenceId{1});
  EXPECT_EQ(scheduler.pool().num_referenced(), 0);
}

}  // namespace
}  // namespace lockstep
