#include "scheduler/gateway/api/field_reader.h"

#include <cmath>
#include <sstream>
#include <utility>

namespace lockstep {
namespace {

std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

FieldReader::FieldReader(const OrderedJson& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) {
    fail(field_error(path_.empty() ? "body" : path_.substr(0, path_.size() - 1),
                     "expected an object"));
  }
}

const OrderedJson* FieldReader::take(const char* name) {
  if (!object_.is_object()) return nullptr;
  taken_.insert(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<double> FieldReader::number(const char* name, double min, double max) {
  const OrderedJson* field = take(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number()) {
    fail(name, "expected a number");
    return std::nullopt;
  }
  const auto value = field->get<double>();
  if (!std::isfinite(value) || value < min || value > max) {
    fail(name,
         "expected a number in [" + shown(min) + ", " + shown(max) + "], got " + field->dump());
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> FieldReader::integer(const char* name, std::int64_t min,
                                                 std::int64_t max) {
  const OrderedJson* field = take(name);
  if (field == nullptr) return std::nullopt;
  const bool fits = field->is_number_integer() &&
                    (!field->is_number_unsigned() ||
                     field->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  if (!fits) {
    fail(name, "expected an integer");
    return std::nullopt;
  }
  const auto value = field->get<std::int64_t>();
  if (value < min || value > max) {
    fail(name, "expected an integer in [" + std::to_string(min) + ", " + std::to_string(max) +
                   "], got " + std::to_string(value));
    return std::nullopt;
  }
  return value;
}

std::optional<bool> FieldReader::flag(const char* name) {
  const OrderedJson* field = take(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_boolean()) {
    fail(name, "expected true or false");
    return std::nullopt;
  }
  return field->get<bool>();
}

std::optional<std::string> FieldReader::text(const char* name, std::size_t max_bytes) {
  const OrderedJson* field = take(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_string()) {
    fail(name, "expected a string");
    return std::nullopt;
  }
  auto value = field->get<std::string>();
  if (value.size() > max_bytes) {
    fail(name, "longer than " + std::to_string(max_bytes) + " bytes");
    return std::nullopt;
  }
  return value;
}

void FieldReader::fail(std::string_view name, std::string_view reason) {
  fail(field_error(path_ + std::string(name), reason));
}

void FieldReader::fail(ApiError error) {
  if (!fault_) fault_ = std::move(error);
}

void FieldReader::finish() {
  if (!ok()) return;
  for (const auto& [name, value] : object_.items()) {
    if (value.is_null() || taken_.contains(name)) continue;
    ApiError error = field_error(path_ + name.substr(0, 100), "this field is not supported");
    error.code = "unsupported_parameter";
    return fail(std::move(error));
  }
}

OrApiError<OrderedJson> parse_body(std::string_view body) {
  Result<OrderedJson> json = parse_ordered_json(body);
  if (!json.ok()) {
    ApiError error;
    error.message = "the body is no JSON: " + json.error().message;
    return error;
  }
  if (!json.value().is_object()) return field_error("body", "expected an object");
  return std::move(json).value();
}

}  // namespace lockstep
