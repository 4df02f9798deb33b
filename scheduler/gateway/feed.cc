#include "scheduler/gateway/feed.h"

#include <algorithm>
#include <utility>

namespace lockstep {

Feed::Feed(std::shared_ptr<const JobRecord> record, std::vector<ChoiceRecord> choices)
    : record_(std::move(record)), choices_(std::move(choices)) {
  choices_.resize(record_->num_choices);
}

// Readers are woken outside the lock: what they do next is read().
template <typename Change>
void Feed::change(Change change) {
  std::vector<std::function<void()>> readers;
  {
    const std::lock_guard lock(mutex_);
    change();
    ++version_;
    readers.swap(waiting_);
  }
  for (const auto& wake : readers) wake();
}

void Feed::append(ChoiceKey key, std::uint32_t first, const std::vector<CompletionToken>& tokens) {
  change([&] {
    std::vector<CompletionToken>& known = choices_.at(key.choice).tokens;
    CHECK(first <= known.size(), "tokens are missing");
    const std::size_t again = std::min(known.size() - first, tokens.size());
    known.insert(known.end(), tokens.begin() + static_cast<std::ptrdiff_t>(again), tokens.end());
  });
}

void Feed::end_choice(std::uint32_t choice, const ChoiceEnd& end) {
  change([&] { choices_.at(choice).end = end; });
}

void Feed::finish(const JobOutcome& outcome) {
  change([&] { outcome_ = outcome; });
}

JobFeed::Piece Feed::read(std::uint32_t choice, std::uint32_t first,
                          std::uint32_t max_tokens) const {
  const std::lock_guard lock(mutex_);
  const ChoiceRecord& known = choices_.at(choice);
  Piece piece;
  const std::size_t begin = std::min<std::size_t>(first, known.tokens.size());
  const std::size_t end = begin + std::min<std::size_t>(max_tokens, known.tokens.size() - begin);
  piece.tokens.assign(known.tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                      known.tokens.begin() + static_cast<std::ptrdiff_t>(end));
  if (end == known.tokens.size()) piece.end = known.end;
  return piece;
}

std::optional<JobOutcome> Feed::outcome() const {
  const std::lock_guard lock(mutex_);
  return outcome_;
}

std::uint64_t Feed::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

void Feed::wait(std::uint64_t seen, std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (version_ == seen) {
      waiting_.push_back(std::move(wake));
      return;
    }
  }
  wake();
}

}  // namespace lockstep
