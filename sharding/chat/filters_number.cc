#include <array>
#include <charconv>
#include <cmath>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/filter_tables.h"
#include "sharding/chat/number_text.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

Error too_large() { return wrong("an integer does not fit 64 bits"); }

std::optional<std::int64_t> truncated(double value) {
  if (!(value > -9223372036854775809.0 && value < 9223372036854775808.0)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

Result<Value> do_int(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("int", arguments, {"default", "base"}));
  const Value fallback = reader.get_or(0, Value(Integer{0}));
  CHAT_ASSIGN(const std::int64_t base, reader.integer(1, 10));
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (self.is_integral()) return Value(Integer{self.integer(), self.is_trusted_number()});
  bool trusted = self.is_trusted_number();
  std::optional<double> number;
  if (self.is(Kind::kText)) {
    CHAT_TRY(renderer.budget().take_scan(self.text().bytes().size()));
    trusted = self.text().is_trusted();
    bool overflows = false;
    const bool base_is_valid = base == 0 || (base >= 2 && base <= 36);
    if (base_is_valid) {
      const auto value = read_integer(self.text().bytes(), static_cast<int>(base), &overflows);
      if (overflows) return too_large();
      if (value) return Value(Integer{*value, trusted});
    }
    number = read_float(self.text().bytes());
  } else if (self.is(Kind::kFloat)) {
    number = self.number();
  }
  if (!number || !std::isfinite(*number)) return fallback;
  const auto whole = truncated(*number);
  if (!whole) return too_large();
  return Value(Integer{*whole, trusted});
}

Result<Value> do_float(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("float", arguments, {"default"}));
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (self.is_number()) return Value(Float{self.number(), self.is_trusted_number()});
  if (self.is(Kind::kText)) {
    CHAT_TRY(renderer.budget().take_scan(self.text().bytes().size()));
    const auto number = read_float(self.text().bytes());
    if (number) return Value(Float{*number, self.text().is_trusted()});
  }
  return reader.get_or(0, Value(Float{0.0}));
}

Result<Value> do_abs(Renderer&, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("abs", arguments, {}));
  static_cast<void>(reader);
  if (self.is(Kind::kFloat))
    return Value(Float{std::fabs(self.number()), self.is_trusted_number()});
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (!self.is_integral()) return wrong("abs needs a number");
  if (self.integer() < 0) return negate(self);
  return Value(Integer{self.integer(), self.is_trusted_number()});
}

// round(value, digits) of Python: to the nearest decimal, as the exact value of the float says.
double round_decimal(double value, int digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits >= 0) {
    std::array<char, 1024> buffer;
    const auto text = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::fixed, digits);
    double out = value;
    std::from_chars(buffer.data(), text.ptr, out);
    return out;
  }
  const double scale = std::pow(10.0, -digits);
  return std::nearbyint(value / scale) * scale;
}

Result<Value> do_round(Renderer&, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("round", arguments, {"precision", "method"}));
  CHAT_ASSIGN(const std::int64_t precision, reader.integer(0, 0));
  const Value method = reader.get_or(1, Value::literal("common"));
  if (!method.is(Kind::kText)) return wrong("round: method must be common, ceil or floor");
  const std::string& name = method.text().bytes();
  if (name != "common" && name != "ceil" && name != "floor") {
    return wrong("round: method must be common, ceil or floor");
  }
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (!self.is_number()) return wrong("round needs a number");
  if (precision > 100 || precision < -100) return wrong("round: precision is out of range");
  const auto digits = static_cast<int>(precision);
  const bool trusted = self.is_trusted_number();
  if (name == "common" && self.is_integral() && digits >= 0) {
    return Value(Integer{self.integer(), trusted});
  }
  if (name == "common" && self.is_integral()) {
    return wrong("round of an integer needs a precision that is not negative");
  }
  if (name == "common") return Value(Float{round_decimal(self.number(), digits), trusted});
  const double scale = std::pow(10.0, digits);
  const double scaled = self.number() * scale;
  if (!std::isfinite(scaled)) return wrong("round: the number is not finite");
  return Value(Float{(name == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale, trusted});
}

}  // namespace

std::span<const FilterEntry> number_filters() {
  static constexpr std::array<FilterEntry, 4> kFilters = {
      {{"int", do_int}, {"float", do_float}, {"abs", do_abs}, {"round", do_round}}};
  return kFilters;
}

}  // namespace lockstep::chat
