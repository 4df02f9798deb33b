// An exchange that needs its whole body, a JSON document or nothing, before it can answer. All
// bodies together are bounded, too.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "scheduler/gateway/http/service.h"

namespace lockstep {

class BodyExchange final : public Exchange {
 public:
  using Answer = std::function<void(std::string body, Respond respond)>;

  static constexpr std::uint64_t kMaxTotalBytes = std::uint64_t{256} << 20;

  BodyExchange(std::shared_ptr<HttpCounters> counters, std::uint64_t max_bytes, Answer answer)
      : counters_(std::move(counters)), max_bytes_(max_bytes), answer_(std::move(answer)) {}
  ~BodyExchange() override { counters_->body_bytes.fetch_sub(counted_bytes_); }
  BodyExchange(const BodyExchange&) = delete;
  BodyExchange& operator=(const BodyExchange&) = delete;

  std::uint64_t max_body_bytes() const override { return max_bytes_; }
  std::optional<ApiError> take(std::string_view piece) override {
    counted_bytes_ += piece.size();
    if (counters_->body_bytes.fetch_add(piece.size()) + piece.size() > kMaxTotalBytes) {
      return to_api_error({ErrorCode::kExhausted, "too many large requests at once"});
    }
    body_ += piece;
    return std::nullopt;
  }
  void finish(Respond respond) override { answer_(std::move(body_), std::move(respond)); }

 private:
  std::shared_ptr<HttpCounters> counters_;
  std::uint64_t max_bytes_;
  std::uint64_t counted_bytes_ = 0;
  Answer answer_;
  std::string body_;
};

}  // namespace lockstep
