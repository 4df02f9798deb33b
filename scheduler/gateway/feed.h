// A job's answer as it grows: one writer, the service; any number of readers on other threads.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "scheduler/gateway/api_backend.h"

namespace lockstep {

class Feed final : public JobFeed {
 public:
  Feed(std::shared_ptr<const JobRecord> record, std::vector<ChoiceRecord> choices);

  // The writer's. Tokens that are here already are left out.
  void append(ChoiceKey key, std::uint32_t first, const std::vector<CompletionToken>& tokens);
  void end_choice(std::uint32_t choice, const ChoiceEnd& end);
  void finish(const JobOutcome& outcome);

  const JobRecord& record() const override { return *record_; }
  Piece read(std::uint32_t choice, std::uint32_t first, std::uint32_t max_tokens) const override;
  std::optional<JobOutcome> outcome() const override;
  std::uint64_t version() const override;
  void wait(std::uint64_t seen, std::function<void()> wake) override;

 private:
  template <typename Change>
  void change(Change change);

  const std::shared_ptr<const JobRecord> record_;
  mutable std::mutex mutex_;
  std::vector<ChoiceRecord> choices_;
  std::optional<JobOutcome> outcome_;
  std::uint64_t version_ = 1;
  std::vector<std::function<void()>> waiting_;  // One per reader.
};

}  // namespace lockstep
