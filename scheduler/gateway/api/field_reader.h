// Takes the fields of a JSON object by name, type and range. The first fault is kept and names its
// field; a field that nobody took is a fault too, so that nothing a client asks for is ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "scheduler/gateway/api/api_error.h"
#include "sharding/chat_template.h"

namespace lockstep {

class FieldReader {
 public:
  // `object` must outlive the reader. `path` stands in front of the names: "messages[2].".
  explicit FieldReader(const OrderedJson& object, std::string path = "");

  // The field as it is; null when it is absent or JSON's null, which mean the same.
  const OrderedJson* take(const char* name);

  // Nothing when the field is absent, or wrong (then fault() says so).
  std::optional<double> number(const char* name, double min, double max);
  std::optional<std::int64_t> integer(const char* name, std::int64_t min, std::int64_t max);
  std::optional<bool> flag(const char* name);
  std::optional<std::string> text(const char* name, std::size_t max_bytes);

  void fail(std::string_view name, std::string_view reason);
  void fail(ApiError error);

  // Refuses what was not taken.
  void finish();

  bool ok() const { return !fault_.has_value(); }
  const std::optional<ApiError>& fault() const { return fault_; }

 private:
  const OrderedJson& object_;
  std::string path_;
  std::set<std::string, std::less<>> taken_;
  std::optional<ApiError> fault_;
};

// A request's body: at most 64 levels, an object.
OrApiError<OrderedJson> parse_body(std::string_view body);

}  // namespace lockstep
