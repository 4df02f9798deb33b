#include "sharding/chat/format.h"

#include <cmath>

#include "sharding/chat/format_spec.h"
#include "sharding/chat/number_text.h"
#include "sharding/chat/print.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

// The values of a %-format in the order of their use.
class PercentValues {
 public:
  explicit PercentValues(const Value& values) : values_(values) {
    is_tuple_ = values.is(Kind::kList) && values.list().shape == ListShape::kTuple;
  }

  Result<Value> next() {
    const std::size_t count = is_tuple_ ? values_.list().items.size() : 1;
    if (next_ >= count) return wrong("not enough arguments for the format");
    const std::size_t index = next_++;
    return is_tuple_ ? values_.list().items[index] : values_;
  }
  Result<Value> named(std::string_view name) {
    if (!values_.is(Kind::kDict)) return wrong("the format needs a dict");
    used_name_ = true;
    const Value* value = values_.dict().find(name);
    if (value == nullptr) return wrong("the format has no value '" + std::string(name) + "'");
    return *value;
  }
  bool has_rest() const {
    if (is_tuple_) return next_ < values_.list().items.size();
    // Python lets whatever has items go unused: a dict, a list, and an undefined value of Jinja.
    const bool is_mapping =
        values_.is(Kind::kDict) || values_.is(Kind::kList) || values_.is_undefined();
    return next_ == 0 && !used_name_ && !is_mapping;
  }

 private:
  const Value& values_;
  bool is_tuple_;
  bool used_name_ = false;
  std::size_t next_ = 0;
};

// Reads one "%..." and writes its value.
class PercentConversion {
 public:
  PercentConversion(Budget* budget, std::string_view text, PercentValues* values, TextBuilder* out)
      : budget_(*budget), text_(text), values_(*values), out_(*out) {}

  // Returns how many bytes it took.
  Result<std::size_t> run();

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  Status parse_flags();
  Result<std::optional<int>> parse_number();
  Status write(const Value& value);
  Status write_integer(const Value& value);

  Budget& budget_;
  std::string_view text_;
  PercentValues& values_;
  TextBuilder& out_;
  std::size_t at_ = 1;
  FormatSpec spec_;
};

Status PercentConversion::parse_flags() {
  bool zero = false;
  bool left = false;
  for (;; ++at_) {
    if (peek() == '-') {
      left = true;
    } else if (peek() == '0') {
      zero = true;
    } else if (peek() == '+') {
      spec_.sign = '+';
    } else if (peek() == ' ') {
      if (spec_.sign == '-') spec_.sign = ' ';
    } else if (peek() == '#') {
      spec_.alternate = true;
    } else {
      break;
    }
  }
  spec_.align = left ? '<' : '>';
  if (zero && !left) {
    spec_.align = '=';
    spec_.fill = "0";
  }
  return Status();
}

Result<std::optional<int>> PercentConversion::parse_number() {
  if (peek() == '*') return wrong("'*' in a format is not supported");
  std::optional<int> out;
  for (; peek() >= '0' && peek() <= '9'; ++at_) {
    out = out.value_or(0) * 10 + (peek() - '0');
    if (*out > kMaxFormatWidth) return wrong("a width in a format is too large");
  }
  return out;
}

Status PercentConversion::write_integer(const Value& value) {
  const bool needs_whole = spec_.type == 'x' || spec_.type == 'X' || spec_.type == 'o';
  Value whole = value;
  if (value.is(Kind::kFloat) && !needs_whole) {
    const double number = std::trunc(value.number());
    if (!(number >= -9223372036854775808.0 && number < 9223372036854775808.0)) {
      return wrong("an integer does not fit 64 bits");
    }
    whole = Value(Integer{static_cast<std::int64_t>(number), value.is_trusted_number()});
  }
  if (!whole.is_integral()) {
    return wrong("the format needs an integer, not " + std::string(type_name(value)));
  }
  if (!needs_whole) spec_.type = 'd';
  return append_number(whole, spec_, &out_);
}

Status PercentConversion::write(const Value& value) {
  if (value.is_undefined() && spec_.type != 's' && spec_.type != 'r') {
    return wrong(value.undefined_reason());
  }
  switch (spec_.type) {
    case 's':
    case 'r': {
      TextBuilder text(&budget_);
      CHAT_TRY(spec_.type == 's' ? print_str(value, &text) : print_repr(value, &text));
      CHAT_ASSIGN(const TextPtr printed, text.finish());
      spec_.fill = " ";
      if (spec_.align == '=') spec_.align = '>';
      return append_text(*printed, spec_, &out_);
    }
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      return write_integer(value);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (!value.is_number()) return wrong("the format needs a number");
      return append_number(value, spec_, &out_);
    default:
      return wrong(std::string("the conversion '%") + spec_.type + "' is not supported");
  }
}

Result<std::size_t> PercentConversion::run() {
  if (peek() == '%') {
    out_.append("%", true);
    return std::size_t{2};
  }
  std::optional<std::string_view> name;
  if (peek() == '(') {
    const std::size_t end = text_.find(')', at_);
    if (end == std::string_view::npos) return wrong("a name in a format is not closed");
    name = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
  }
  CHAT_TRY(parse_flags());
  CHAT_ASSIGN(spec_.width, parse_number());
  if (peek() == '.') {
    ++at_;
    CHAT_ASSIGN(spec_.precision, parse_number());
    if (!spec_.precision) spec_.precision = 0;
  }
  if (at_ >= text_.size()) return wrong("a format ends inside a conversion");
  spec_.type = text_[at_++];
  CHAT_ASSIGN(const Value value, name ? values_.named(*name) : values_.next());
  CHAT_TRY(write(value));
  return at_;
}

// "{...}" of str.format().
class BraceFormat {
 public:
  BraceFormat(Renderer* renderer, const Text& format, const Arguments& arguments, TextBuilder* out)
      : renderer_(*renderer), format_(format), arguments_(arguments), out_(*out) {}

  Status run();

 private:
  Status write_field(std::string_view field);
  Result<Value> find_value(std::string_view name);
  Result<Value> positional(std::size_t index);

  Renderer& renderer_;
  const Text& format_;
  const Arguments& arguments_;
  TextBuilder& out_;
  std::size_t next_ = 0;
  bool counts_ = false;
  bool numbers_ = false;
};

Result<Value> BraceFormat::positional(std::size_t index) {
  if (index < arguments_.positional.size()) return arguments_.positional[index];
  return wrong("the format has too few arguments");
}

Result<Value> BraceFormat::find_value(std::string_view name) {
  const std::size_t end = name.find_first_of(".[");
  const std::string_view first = name.substr(0, end);
  if (end != std::string_view::npos) {
    return wrong("attributes and items in str.format are not supported");
  }
  if (first.empty()) {
    counts_ = true;
    if (numbers_) return wrong("a format cannot mix {} and {0}");
    return positional(next_++);
  }
  if (first.find_first_not_of("0123456789") == std::string_view::npos) {
    numbers_ = true;
    if (counts_) return wrong("a format cannot mix {} and {0}");
    bool overflows = false;
    const auto index = read_integer(first, 10, &overflows);
    if (!index || overflows) return wrong("the format has too few arguments");
    return positional(static_cast<std::size_t>(*index));
  }
  for (const auto& [key, value] : arguments_.named) {
    if (key == first) return value;
  }
  return wrong("the format has no argument '" + std::string(first) + "'");
}

Status BraceFormat::write_field(std::string_view field) {
  const std::size_t colon = field.find(':');
  std::string_view name = field.substr(0, colon);
  const std::string_view spec_text =
      colon == std::string_view::npos ? std::string_view() : field.substr(colon + 1);
  char conversion = '\0';
  if (name.size() >= 2 && name[name.size() - 2] == '!') {
    conversion = name.back();
    name.remove_suffix(2);
  }
  if (conversion != '\0' && conversion != 's' && conversion != 'r') {
    return wrong("a conversion of a format is not supported");
  }
  CHAT_ASSIGN(Value value, find_value(name));
  CHAT_ASSIGN(const FormatSpec spec, parse_format_spec(spec_text));
  const bool plain = spec_text.empty();
  if (conversion != '\0' || (plain && !value.is(Kind::kText))) {
    TextBuilder text(&renderer_.budget());
    CHAT_TRY(conversion == 'r' ? print_repr(value, &text) : print_str(value, &text));
    CHAT_ASSIGN(TextPtr printed, text.finish());
    value = Value(std::move(printed));
  }
  const bool text_type = spec.type == '\0' || spec.type == 's';
  if (value.is(Kind::kText) && text_type && spec.align != '=' && !spec.grouped) {
    return append_text(value.text(), spec, &out_);
  }
  const bool whole_type = std::string_view("dxXob").find(spec.type) != std::string_view::npos;
  if (!value.is_number() || spec.type == 's' || (whole_type && !value.is_integral()) ||
      (value.is(Kind::kBool) && spec.type == '\0') ||
      (value.is_integral() && spec.precision && (whole_type || spec.type == '\0'))) {
    return wrong("the format does not fit a " + std::string(type_name(value)));
  }
  return append_number(value, spec, &out_);
}

Status BraceFormat::run() {
  const std::string& bytes = format_.bytes();
  CHAT_TRY(renderer_.budget().take_scan(bytes.size()));
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t brace = bytes.find_first_of("{}", at);
    out_.append_range(format_, at, std::min(brace, bytes.size()));
    if (brace == std::string::npos) break;
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out_.append_range(format_, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    if (bytes[brace] == '}') return wrong("a format has a single '}'");
    const std::size_t end = bytes.find_first_of("{}", brace + 1);
    if (end == std::string::npos) return wrong("a format has a single '{'");
    if (bytes[end] == '{') return wrong("nested fields of a format are not supported");
    CHAT_TRY(renderer_.budget().take_steps(1));
    CHAT_TRY(write_field(std::string_view(bytes).substr(brace + 1, end - brace - 1)));
    at = end + 1;
  }
  return Status();
}

}  // namespace

Result<Value> format_percent(Budget& budget, const Text& format, const Value& values) {
  const std::string& bytes = format.bytes();
  CHAT_TRY(budget.take_scan(bytes.size()));
  PercentValues source(values);
  TextBuilder out(&budget);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t percent = bytes.find('%', at);
    out.append_range(format, at, std::min(percent, bytes.size()));
    if (percent == std::string::npos) break;
    CHAT_TRY(budget.take_steps(1));
    PercentConversion conversion(&budget, std::string_view(bytes).substr(percent), &source, &out);
    CHAT_ASSIGN(const std::size_t size, conversion.run());
    at = percent + size;
  }
  if (source.has_rest()) return wrong("not all arguments were used by the format");
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

Result<Value> format_braces(Renderer& renderer, const Text& format, const Arguments& arguments) {
  TextBuilder out(&renderer.budget());
  CHAT_TRY(BraceFormat(&renderer, format, arguments, &out).run());
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

}  // namespace lockstep::chat
