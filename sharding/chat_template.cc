#include "sharding/chat_template.h"

#include <utility>

#include "sharding/chat/import.h"
#include "sharding/chat/parser.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep {
namespace {

Result<chat::TextPtr> render_marked(const chat::Ast& ast, const TemplateLimits& limits,
                                    const OrderedJson& variables) {
  CHAT_ASSIGN(chat::DictPtr dict, chat::import_variables(variables));
  chat::Renderer renderer(std::move(dict), chat::Budget(limits.max_steps, limits.max_output_bytes),
                          limits.max_depth);
  CHAT_ASSIGN(chat::TextPtr text, renderer.render(ast));
  return text;
}

}  // namespace

struct ChatTemplate::State {
  chat::Ast ast;
  TemplateLimits limits;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const State> state) : state_(std::move(state)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, TemplateLimits limits) {
  if (!chat::is_utf8(source)) return chat::wrong("the source of the template is not UTF-8");
  CHAT_ASSIGN(chat::Ast ast, chat::parse_template(source, limits.max_depth));
  return ChatTemplate(std::make_unique<const State>(State{std::move(ast), limits}));
}

Result<std::vector<PromptPiece>> ChatTemplate::render(const OrderedJson& variables) const {
  CHAT_ASSIGN(const chat::TextPtr text, render_marked(state_->ast, state_->limits, variables));
  std::vector<PromptPiece> out;
  std::size_t begin = 0;
  for (const chat::Text::Run& run : text->runs()) {
    out.push_back({text->bytes().substr(begin, run.end - begin), run.trusted});
    begin = run.end;
  }
  return out;
}

Result<std::string> ChatTemplate::render_text(const OrderedJson& variables) const {
  CHAT_ASSIGN(const chat::TextPtr text, render_marked(state_->ast, state_->limits, variables));
  return text->bytes();
}

Result<OrderedJson> parse_ordered_json(std::string_view text, int max_depth) {
  bool too_deep = false;
  const auto guard = [&](int depth, OrderedJson::parse_event_t event, const OrderedJson&) {
    using Event = OrderedJson::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    too_deep = too_deep || (opens && depth >= max_depth);
    return !too_deep;
  };
  try {
    OrderedJson json = OrderedJson::parse(text, guard);
    if (too_deep) {
      return Error{ErrorCode::kCorrupt, "JSON: more than " + std::to_string(max_depth) + " levels"};
    }
    return json;
  } catch (const OrderedJson::exception& e) {
    return Error{ErrorCode::kCorrupt, e.what()};
  }
}

}  // namespace lockstep
