// Chat templates: the Jinja that real models carry, run by a small sandboxed interpreter. No calls
// out; steps, depth and output are bounded. Text from a user stays marked as such all the way into
// the tokenizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sharding/tokenizer.h"

namespace lockstep {

// Keeps the order of keys: `tools|tojson` and `arguments|items` write them as the caller did.
using OrderedJson = nlohmann::ordered_json;

// Parses text from outside for use as variables: at most `max_depth` levels, no trailing bytes; of
// two equal keys the last one counts, as in Python. kCorrupt says where it is wrong.
Result<OrderedJson> parse_ordered_json(std::string_view text, int max_depth = 64);

struct TemplateLimits {
  std::int64_t max_steps = 1'000'000;
  int max_depth = 64;                      // Of nested calls, and of nested source.
  std::size_t max_output_bytes = 8 << 20;  // Of all strings made together, and of the result.
};

class ChatTemplate {
 public:
  // Parses; kInvalidArgument names line and construct, kExhausted the limit.
  static Result<ChatTemplate> parse(std::string_view source, TemplateLimits limits = {});

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Renders with these variables (an object). Every string in `variables` is untrusted but those
  // under the keys "bos_token" and "eos_token", and `role` of an entry of "messages" where it is
  // one of the well-known words (system, user, assistant, tool, ...): templates build markers such
  // as
  // "<|user|>" from it. Text of the template itself is trusted. Neighbouring output of equal trust
  // is one piece.
  // The integer "strftime_now", seconds since 1970, makes the function of that name available, in
  // UTC; without it the name is undefined.
  // kInvalidArgument carries the line and the template's own raise_exception message; kExhausted
  // names the limit. Thread-safe.
  Result<std::vector<PromptPiece>> render(const OrderedJson& variables) const;

  // The pieces as one string, as Python's jinja2 gives it.
  Result<std::string> render_text(const OrderedJson& variables) const;

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

}  // namespace lockstep
