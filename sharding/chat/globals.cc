#include "sharding/chat/globals.h"

#include <array>
#include <ctime>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

// As in Jinja's sandbox.
constexpr std::int64_t kMaxRange = 100'000;

Result<Value> make_range(Renderer& renderer, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.named.empty()) {
    return wrong("range() takes one to three integers");
  }
  for (const Value& value : given) {
    if (value.is_undefined()) return wrong(value.undefined_reason());
    if (!value.is_integral()) return wrong("range() takes integers only");
  }
  const std::int64_t begin = given.size() > 1 ? given[0].integer() : 0;
  const std::int64_t end = given.size() > 1 ? given[1].integer() : given[0].integer();
  const std::int64_t step = given.size() > 2 ? given[2].integer() : 1;
  if (step == 0) return wrong("the step of range() cannot be zero");
  constexpr std::int64_t kLargest = std::int64_t{1} << 60;
  for (const std::int64_t value : {begin, end, step}) {
    if (value > kLargest || value < -kLargest) return wrong("range() is too big");
  }
  std::int64_t count = 0;
  if (step > 0 && end > begin) count = (end - begin - 1) / step + 1;
  if (step < 0 && begin > end) count = (begin - end - 1) / -step + 1;
  if (count > kMaxRange) return wrong("range() is too big: at most 100000 items");
  CHAT_TRY(renderer.budget().take_steps(static_cast<std::size_t>(count)));
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) items.emplace_back(Integer{begin + i * step});
  return make_list(std::move(items), ListShape::kRange);
}

// The entries of dict(...): a dict or pairs, then the names.
Result<std::vector<Dict::Entry>> entries_of(Renderer& renderer, const Arguments& arguments) {
  std::vector<Dict::Entry> out;
  if (arguments.positional.size() > 1) return wrong("dict() takes at most one dict");
  if (!arguments.positional.empty() && arguments.positional[0].is(Kind::kDict)) {
    out = arguments.positional[0].dict().entries;
    CHAT_TRY(renderer.budget().take_steps(out.size()));
  } else if (!arguments.positional.empty()) {
    CHAT_ASSIGN(const std::vector<Value> pairs, renderer.items_of(arguments.positional[0]));
    for (const Value& item : pairs) {
      CHAT_ASSIGN(const std::vector<Value> pair, renderer.items_of(item));
      if (pair.size() != 2) return wrong("dict() takes pairs of key and value");
      out.emplace_back(pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) out.emplace_back(Value::literal(name), value);
  // Keys that are no text are searched for one by one.
  std::size_t others = 0;
  for (const auto& [key, value] : out) others += key.is(Kind::kText) ? 0 : key.weight();
  CHAT_TRY(renderer.budget().take_steps(others * (1 + out.size() / 64)));
  return out;
}

Result<Value> make_dict_value(Renderer& renderer, const Arguments& arguments) {
  CHAT_ASSIGN(std::vector<Dict::Entry> entries, entries_of(renderer, arguments));
  return make_dict(std::move(entries));
}

Result<Value> make_namespace(Renderer& renderer, const Arguments& arguments) {
  CHAT_ASSIGN(const Value dict, make_dict_value(renderer, arguments));
  auto* object = renderer.make_object<Namespace>();
  for (const auto& [key, value] : dict.dict().entries) {
    if (key.is(Kind::kText)) object->fields.emplace_back(key.text().bytes(), value);
  }
  return Value(object);
}

Result<Value> make_cycler(Renderer& renderer, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) {
    return wrong("cycler() needs at least one item");
  }
  auto* cycler = renderer.make_object<Cycler>();
  cycler->items = arguments.positional;
  return Value(cycler);
}

Result<Value> make_joiner(Renderer& renderer, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("joiner()", arguments, {"sep"}));
  auto* joiner = renderer.make_object<Joiner>();
  joiner->separator = reader.get_or(0, Value::literal(", "));
  return Value(joiner);
}

Result<Value> raise_exception(Renderer& renderer, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("raise_exception", arguments, {"message"}));
  CHAT_ASSIGN(const Value message, reader.require(0));
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(message));
  return wrong(text->bytes());
}

// strftime_now(format) at the time that the variables give, in UTC.
Result<Value> strftime_now(Renderer& renderer, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("strftime_now", arguments, {"format"}));
  CHAT_ASSIGN(const auto format, reader.text(0));
  const Value* now = renderer.variable("strftime_now");
  constexpr std::int64_t kYear10000 = 253'402'300'800;
  if (now == nullptr || !now->is(Kind::kInteger) || now->integer() < 0 ||
      now->integer() >= kYear10000) {
    return wrong("the variable strftime_now must be seconds since 1970");
  }
  if (!format || (*format)->bytes().size() > 256) return wrong("strftime_now needs a short format");
  const std::time_t seconds = now->integer();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  // One character more, because an empty result cannot be told from one that is too long.
  char buffer[4096];
  const std::size_t size =
      std::strftime(buffer, sizeof buffer, ((*format)->bytes() + " ").c_str(), &parts);
  if (size == 0) return wrong("the result of strftime_now is too long");
  TextBuilder out(&renderer.budget());
  out.append(to_utf8(std::string_view(buffer, size - 1)), (*format)->is_trusted());
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

}  // namespace

std::span<const GlobalFunction> global_functions() {
  static constexpr std::array<GlobalFunction, 7> kFunctions = {{
      {"range", make_range},
      {"dict", make_dict_value},
      {"namespace", make_namespace},
      {"cycler", make_cycler},
      {"joiner", make_joiner},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
  }};
  return kFunctions;
}

}  // namespace lockstep::chat
