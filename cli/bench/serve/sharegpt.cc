#include "cli/bench/serve/sharegpt.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace lockstep {
namespace {

constexpr int kMaxDepth = 32;

// Listens to the parser. The names of its functions are nlohmann-json's.
class ConversationSax final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

  bool string(string_t& text) override {
    if (depth_ == kTurnDepth && in_turns_ && key_ == "value" && turn_ <= 2) {
      (turn_ == 1 ? current_.question : current_.answer) = std::move(text);
    }
    return true;
  }
  bool start_object(std::size_t) override {
    if (++depth_ == kTurnDepth && in_turns_) ++turn_;
    return depth_ <= kMaxDepth;
  }
  bool key(string_t& name) override {
    key_ = std::move(name);
    if (depth_ == kConversationDepth) in_turns_ = key_ == "conversations";
    return true;
  }
  bool end_object() override {
    if (depth_-- == kConversationDepth) {
      if (turn_ >= 2) conversations_.push_back(std::move(current_));
      current_ = {};
      turn_ = 0;
      in_turns_ = false;
    }
    return true;
  }
  bool start_array(std::size_t) override { return ++depth_ <= kMaxDepth; }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    error_at_ = at;
    return false;
  }

  std::size_t error_at() const { return error_at_; }
  std::vector<Conversation> take() && { return std::move(conversations_); }

 private:
  // The list, a conversation; its turns, one of them.
  static constexpr int kConversationDepth = 2;
  static constexpr int kTurnDepth = 4;

  std::vector<Conversation> conversations_;
  Conversation current_;
  std::string key_;
  int depth_ = 0;
  int turn_ = 0;
  bool in_turns_ = false;
  std::size_t error_at_ = 0;
};

}  // namespace

Result<std::vector<Conversation>> read_sharegpt(std::string_view json) {
  ConversationSax sax;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &sax)) {
    return Error{ErrorCode::kCorrupt, "no JSON, or nested more than " + std::to_string(kMaxDepth) +
                                          " levels: byte " + std::to_string(sax.error_at())};
  }
  return std::move(sax).take();
}

}  // namespace lockstep
