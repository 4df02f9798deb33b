#include "cli/batch/batch_engine.h"

#include <utility>

namespace lockstep {
namespace {

Request request_of(const JobRecord& record, std::uint32_t choice) {
  Request request;
  request.prompt = record.prompt;
  request.sampling = record.sampling;
  request.sampling.choice_index = choice;
  request.priority = record.priority;
  request.num_top_logprobs = record.num_top_logprobs;
  return request;
}

}  // namespace

Status BatchEngine::add(const BatchLine& line, std::int64_t unix_ms) {
  LineJob made = lines_.make_job(line, "", unix_ms);
  const auto added = std::make_shared<Line>();
  added->job.record = std::move(made.record);
  JobRecord& record = added->job.record;
  record.id = ids_.next(unix_ms);
  added->job.choices.resize(record.num_choices);
  if (!made.status.ok()) return fail(added, made.status, unix_ms);
  for (std::uint32_t i = 0; i < record.num_choices; ++i) {
    const Result<SequenceId> id = leader_.add(request_of(record, i));
    if (!id.ok()) return fail(added, id.error(), unix_ms);
    choices_[id.value()] = {added, i};
    ++added->num_open;
  }
  return {};
}

Status BatchEngine::step(std::int64_t unix_ms) {
  LOCKSTEP_TRY_ASSIGN(std::vector<SequenceEvent> events, leader_.step(), "step");
  for (SequenceEvent& event : events) LOCKSTEP_TRY(take(event, unix_ms), "line");
  return {};
}

Status BatchEngine::take(SequenceEvent& event, std::int64_t unix_ms) {
  const auto found = choices_.find(event.sequence);
  if (found == choices_.end()) return {};  // Of a line that has failed.
  const Choice choice = found->second;
  Line& line = *choice.line;
  ChoiceRecord& record = line.job.choices[choice.index];
  if (event.token) {
    record.tokens.push_back(
        {*event.token, event.logits_digest, event.logprobs.chosen, std::move(event.logprobs.top)});
  }
  if (!event.finished) return {};
  choices_.erase(found);
  const Completion completion = leader_.take(event.sequence);
  if (!event.status.ok()) return fail(choice.line, event.status, unix_ms);
  record.end = ChoiceEnd{.status = {},
                         .reason = completion.finish_reason,
                         .num_tokens = static_cast<std::uint32_t>(record.tokens.size()),
                         .cached_tokens = completion.cached_tokens,
                         .computed_tokens = completion.computed_tokens,
                         .steps = completion.steps};
  if (--line.num_open > 0) return {};
  line.job.state = JobState::kDone;
  line.job.outcome = {JobState::kDone, unix_ms, ""};
  return end(line);
}

// The line with all its choices.
Status BatchEngine::fail(const std::shared_ptr<Line>& line, const Status& why,
                         std::int64_t unix_ms) {
  std::erase_if(choices_, [&](const auto& entry) {
    if (entry.second.line != line) return false;
    leader_.cancel(entry.first);
    (void)leader_.take(entry.first);
    return true;
  });
  line->job.state = JobState::kFailed;
  line->job.outcome = {JobState::kFailed, unix_ms, why.error().message};
  return end(*line);
}

Status BatchEngine::end(Line& line) {
  const BatchLineResult result = lines_.result_of(line.job, BatchRecord{});
  ++(is_output(result) ? figures_.answered : figures_.failed);
  figures_.bytes += line.job.record.request_json.size();
  figures_.prompt_tokens += line.job.record.prompt.size();
  for (const ChoiceRecord& choice : line.job.choices) {
    figures_.completion_tokens += choice.tokens.size();
  }
  return write_(result);
}

}  // namespace lockstep
