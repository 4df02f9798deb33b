// Chat templates: the Jinja that real models carry, run by a small sandboxed interpreter. No calls out; steps, depth
// and output are bounded. Text from a user stays marked as such all the way into the tokenizer.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"
#include "sharding/tokenizer.h"

namespace lockstep {

struct TemplateLimits {
  std::int64_t max_steps = 1'000'000;
  int max_depth = 64;                    // Of nested calls and expressions.
  std::size_t max_output_bytes = 8 << 20;  // Of all strings made together, and of the result.
};

class ChatTemplate {
 public:
  // Parses; kInvalidArgument names line and construct.
  static Result<ChatTemplate> parse(std::string_view source, TemplateLimits limits = {});

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Renders with these variables (an object). Every string in `variables` is untrusted but those under the keys
  // "bos_token" and "eos_token"; text of the template itself is trusted. Neighbouring output of equal trust is one piece.
  // kInvalidArgument carries the template's own raise_exception message; kExhausted names the limit.
  Result<std::vector<PromptPiece>> render(const Json& variables) const;

  // The pieces as one string, as Python's jinja2 gives it.
  Result<std::string> render_text(const Json& variables) const;

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

}  // namespace lockstep
