// Any bytes as a chat template, and what stands behind the first zero byte as its variables.
// Nothing may crash, hang or grow without bound, and text from the variables must stay untrusted.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sharding/chat_template.h"

namespace {

// Characters that no template writes: only the user's text can bring them into the output.
constexpr std::string_view kMark = "\xEE\x80\x80";

bool only_untrusted(const std::vector<lockstep::PromptPiece>& pieces) {
  for (const lockstep::PromptPiece& piece : pieces) {
    if (piece.trusted && piece.text.find(kMark) != std::string::npos) return false;
  }
  return true;
}

lockstep::OrderedJson default_variables() {
  lockstep::OrderedJson out;
  const std::string text = "a " + std::string(kMark) + " b\n";
  out["messages"] = {{{"role", "system"}, {"content", text}},
                     {{"role", text}, {"content", nullptr}, {text, {1, 2.5, true, text}}}};
  out["m"] = text;
  out["n"] = 7;
  out["add_generation_prompt"] = true;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  lockstep::TemplateLimits limits;
  limits.max_steps = 20'000;
  limits.max_output_bytes = 1 << 18;
  const std::string_view source = input.substr(0, zero);
  const auto parsed = lockstep::ChatTemplate::parse(source, limits);
  if (!parsed.ok()) return 0;
  const auto pieces = parsed.value().render(default_variables());
  const bool writes_mark = source.find(kMark.substr(0, 2)) != std::string_view::npos ||
                           source.find('\\') != std::string_view::npos;
  if (pieces.ok() && !writes_mark && !only_untrusted(pieces.value())) std::abort();
  if (zero == std::string_view::npos) return 0;
  const auto variables = lockstep::parse_ordered_json(input.substr(zero + 1));
  if (variables.ok() && variables.value().is_object()) {
    static_cast<void>(parsed.value().render_text(variables.value()));
  }
  return 0;
}
