#include "sharding/chat/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "sharding/chat/format.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

Error unsupported(std::string_view sign, const Value& a, const Value& b) {
  if (a.is_undefined()) return wrong(a.undefined_reason());
  if (b.is_undefined()) return wrong(b.undefined_reason());
  return wrong("'" + std::string(sign) + "' does not work for " + std::string(type_name(a)) +
               " and " + std::string(type_name(b)));
}

std::string_view sign_of(Operator op) {
  static constexpr std::string_view kSigns[] = {"+",  "-",  "*", "/",  "//", "%",  "**", "~",
                                                "==", "!=", "<", "<=", ">",  ">=", "in", "not in"};
  return kSigns[static_cast<std::size_t>(op)];
}

Result<Value> checked(std::optional<std::int64_t> value, bool trusted) {
  if (!value) return wrong("an integer does not fit 64 bits");
  return Value(Integer{*value, trusted});
}

std::optional<std::int64_t> floor_divide(std::int64_t a, std::int64_t b) {
  if (b == -1) return checked_mul<std::int64_t>(a, -1);
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::int64_t modulo(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

std::optional<std::int64_t> integer_power(std::int64_t base, std::int64_t exponent) {
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  if (exponent > 64) return std::nullopt;
  std::optional<std::int64_t> out = 1;
  for (std::int64_t i = 0; i < exponent && out; ++i) out = checked_mul(*out, base);
  return out;
}

Result<Value> calculate_integers(Operator op, std::int64_t a, std::int64_t b, bool trusted) {
  std::int64_t difference = 0;
  switch (op) {
    case Operator::kAdd:
      return checked(checked_add(a, b), trusted);
    case Operator::kSubtract:
      if (__builtin_sub_overflow(a, b, &difference)) return checked(std::nullopt, trusted);
      return Value(Integer{difference, trusted});
    case Operator::kMultiply:
      return checked(checked_mul(a, b), trusted);
    case Operator::kPower:
      return checked(integer_power(a, b), trusted);
    default:
      break;
  }
  if (b == 0) return wrong("division by zero");
  if (op == Operator::kFloorDivide) return checked(floor_divide(a, b), trusted);
  return Value(Integer{modulo(a, b), trusted});
}

// Python's float remainder has the sign of the divisor.
double float_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double float_floor_divide(double a, double b) {
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Result<Value> calculate_floats(Operator op, double a, double b, bool trusted) {
  const auto make = [&](double value) { return Value(Float{value, trusted}); };
  switch (op) {
    case Operator::kAdd:
      return make(a + b);
    case Operator::kSubtract:
      return make(a - b);
    case Operator::kMultiply:
      return make(a * b);
    case Operator::kPower: {
      if (a == 0 && b < 0) return wrong("zero cannot be raised to a negative power");
      const double power = std::pow(a, b);
      if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) {
        return wrong("complex numbers are not supported");
      }
      if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) {
        return wrong("the result of ** is too large");
      }
      return make(power);
    }
    default:
      break;
  }
  if (b == 0) return wrong("division by zero");
  if (op == Operator::kDivide) return make(a / b);
  return make(op == Operator::kFloorDivide ? float_floor_divide(a, b) : float_modulo(a, b));
}

Result<Value> calculate_numbers(Operator op, const Value& a, const Value& b) {
  const bool trusted = a.is_trusted_number() && b.is_trusted_number();
  const bool whole = a.is_integral() && b.is_integral() && op != Operator::kDivide &&
                     !(op == Operator::kPower && b.integer() < 0);
  if (whole) return calculate_integers(op, a.integer(), b.integer(), trusted);
  return calculate_floats(op, a.number(), b.number(), trusted);
}

bool is_joinable_list(const Value& value) {
  return value.is(Kind::kList) &&
         (value.list().shape == ListShape::kList || value.list().shape == ListShape::kTuple);
}

Result<Value> repeat(Budget& budget, const Value& what, const Value& times) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times.integer(), 0));
  if (what.is(Kind::kText)) {
    TextBuilder builder(&budget);
    builder.append_repeated(what.text(), count);
    CHAT_ASSIGN(TextPtr text, builder.finish());
    return Value(std::move(text));
  }
  const auto& items = what.list().items;
  const auto total = checked_mul(items.size(), count);
  CHAT_TRY(budget.take_steps(total ? *total : std::numeric_limits<std::size_t>::max()));
  std::vector<Value> out;
  out.reserve(*total);
  for (std::size_t i = 0; i < count && !items.empty(); ++i) {
    out.insert(out.end(), items.begin(), items.end());
  }
  return make_list(std::move(out), what.list().shape);
}

Result<Value> add(Budget& budget, const Value& a, const Value& b) {
  if (a.is(Kind::kText) && b.is(Kind::kText)) {
    TextBuilder builder(&budget);
    builder.append(a.text());
    builder.append(b.text());
    CHAT_ASSIGN(TextPtr text, builder.finish());
    return Value(std::move(text));
  }
  if (!is_joinable_list(a) || !is_joinable_list(b) || a.list().shape != b.list().shape) {
    return unsupported("+", a, b);
  }
  CHAT_TRY(budget.take_steps(a.list().items.size() + b.list().items.size()));
  std::vector<Value> items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return make_list(std::move(items), a.list().shape);
}

// First index and number of items of a slice of something `size` long; Python's rules.
struct Span {
  std::int64_t begin;
  std::int64_t step;
  std::size_t count;
};

Result<std::optional<std::int64_t>> slice_part(const Value& part) {
  if (part.is_none()) return std::optional<std::int64_t>();
  if (part.is_undefined()) return wrong(part.undefined_reason());
  if (!part.is_integral()) {
    return wrong("slices need integers, not " + std::string(type_name(part)));
  }
  return std::optional<std::int64_t>(part.integer());
}

Result<Span> resolve(const SliceParts& parts, std::int64_t size) {
  CHAT_ASSIGN(const auto step_part, slice_part(parts.step));
  CHAT_ASSIGN(const auto begin_part, slice_part(parts.begin));
  CHAT_ASSIGN(const auto end_part, slice_part(parts.end));
  // A longer step than any text has is no different from this one, and cannot overflow.
  constexpr std::int64_t kLongest = std::int64_t{1} << 62;
  const std::int64_t step = std::clamp(step_part.value_or(1), -kLongest, kLongest);
  if (step == 0) return wrong("the step of a slice cannot be zero");
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? size : size - 1;
  const auto place = [&](std::int64_t at) {
    return std::clamp(at < 0 ? at + size : at, low, high);
  };
  const std::int64_t begin = begin_part ? place(*begin_part) : (step > 0 ? low : high);
  const std::int64_t end = end_part ? place(*end_part) : (step > 0 ? high : low);
  std::int64_t count = 0;
  if (step > 0 && end > begin) count = (end - begin - 1) / step + 1;
  if (step < 0 && begin > end) count = (begin - end - 1) / -step + 1;
  return Span{begin, step, static_cast<std::size_t>(count)};
}

Result<Value> slice_text(Budget& budget, const Text& text, const Span& span) {
  const auto begin = static_cast<std::size_t>(span.begin);
  if (span.count == 0) return Value::literal("");
  if (span.step == 1) return substring(budget, text, begin, begin + span.count);
  CHAT_TRY(budget.take_steps(text.length()));
  std::vector<std::size_t> offsets;  // Of each code point.
  for (std::size_t at = 0; at < text.bytes().size(); at += decode(text.bytes(), at).bytes) {
    offsets.push_back(at);
  }
  offsets.push_back(text.bytes().size());
  TextBuilder builder(&budget);
  std::int64_t index = span.begin;
  for (std::size_t i = 0; i < span.count; ++i) {
    const auto at = static_cast<std::size_t>(index);
    builder.append_range(text, offsets[at], offsets[at + 1]);
    if (i + 1 < span.count) index += span.step;
  }
  CHAT_ASSIGN(TextPtr out, builder.finish());
  return Value(std::move(out));
}

}  // namespace

Result<Value> substring(Budget& budget, const Text& text, std::size_t begin, std::size_t end) {
  CHAT_TRY(budget.take_scan(text.is_ascii() ? 0 : text.bytes().size()));
  TextBuilder builder(&budget);
  builder.append_range(text, text.byte_of(begin), text.byte_of(end));
  CHAT_ASSIGN(TextPtr out, builder.finish());
  return Value(std::move(out));
}

Result<Value> slice(Budget& budget, const Value& value, const SliceParts& parts) {
  if (value.is(Kind::kText)) {
    CHAT_ASSIGN(const Span span, resolve(parts, static_cast<std::int64_t>(value.text().length())));
    return slice_text(budget, value.text(), span);
  }
  if (value.is_undefined()) return wrong(value.undefined_reason());
  if (!value.is(Kind::kList) || value.list().shape >= ListShape::kKeys) {
    return wrong("a " + std::string(type_name(value)) + " cannot be sliced");
  }
  const auto& items = value.list().items;
  CHAT_ASSIGN(const Span span, resolve(parts, static_cast<std::int64_t>(items.size())));
  CHAT_TRY(budget.take_steps(span.count));
  std::vector<Value> out;
  out.reserve(span.count);
  std::int64_t index = span.begin;
  for (std::size_t i = 0; i < span.count; ++i) {
    out.push_back(items[static_cast<std::size_t>(index)]);
    if (i + 1 < span.count) index += span.step;
  }
  return make_list(std::move(out), value.list().shape);
}

Result<Value> calculate(Budget& budget, Operator op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return calculate_numbers(op, a, b);
  if (op == Operator::kAdd) return add(budget, a, b);
  if (op == Operator::kMultiply) {
    const auto repeats = [](const Value& v) { return v.is(Kind::kText) || is_joinable_list(v); };
    if (repeats(a) && b.is_integral()) return repeat(budget, a, b);
    if (repeats(b) && a.is_integral()) return repeat(budget, b, a);
  }
  if (op == Operator::kModulo && a.is(Kind::kText)) {
    return format_percent(budget, a.text(), b);
  }
  return unsupported(sign_of(op), a, b);
}

Result<Value> negate(const Value& value) {
  if (value.is_integral()) {
    return checked(checked_mul<std::int64_t>(value.integer(), -1), value.is_trusted_number());
  }
  if (value.is(Kind::kFloat)) return Value(Float{-value.number(), value.is_trusted_number()});
  if (value.is_undefined()) return wrong(value.undefined_reason());
  return wrong("a " + std::string(type_name(value)) + " has no negative");
}

Result<bool> contains(Budget& budget, const Value& container, const Value& item) {
  CHAT_TRY(budget.take_steps(container.weight()));
  CHAT_TRY(budget.take_steps(item.weight()));
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kText:
      if (item.is_undefined()) return wrong(item.undefined_reason());
      if (!item.is(Kind::kText)) {
        return wrong("'in' a str needs a str, not " + std::string(type_name(item)));
      }
      return container.text().bytes().find(item.text().bytes()) != std::string::npos;
    case Kind::kList: {
      const auto& items = container.list().items;
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& other) { return are_equal(other, item); });
    }
    case Kind::kDict:
      if (item.is(Kind::kDict) || (item.is(Kind::kList) && item.list().shape == ListShape::kList)) {
        return wrong("a " + std::string(type_name(item)) + " cannot be the key of a dict");
      }
      return container.dict().find(item) != nullptr;
    case Kind::kObject:
      if (container.object()->kind == ObjectKind::kGenerator) {
        auto* generator = static_cast<Generator*>(container.object());
        if (generator->failure) return *generator->failure;
        while (generator->next < generator->items.size()) {
          if (are_equal(generator->items[generator->next++], item)) return true;
        }
        return false;
      }
      [[fallthrough]];
    default:
      return wrong("'in' does not work for " + std::string(type_name(container)));
  }
}

Result<bool> compare(Budget& budget, Operator op, const Value& a, const Value& b) {
  if (op == Operator::kIn) return contains(budget, b, a);
  if (op == Operator::kNotIn) {
    CHAT_ASSIGN(const bool found, contains(budget, b, a));
    return !found;
  }
  CHAT_TRY(budget.take_steps(std::min(a.weight(), b.weight())));
  if (op == Operator::kEqual) return are_equal(a, b);
  if (op == Operator::kNotEqual) return !are_equal(a, b);
  if (op == Operator::kLess) return is_less(a, b);
  if (op == Operator::kGreater) return is_less(b, a);
  const bool flipped = op == Operator::kGreaterEqual;
  CHAT_ASSIGN(const bool less, flipped ? is_less(b, a) : is_less(a, b));
  return less || are_equal(a, b);
}

}  // namespace lockstep::chat
