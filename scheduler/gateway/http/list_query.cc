#include "scheduler/gateway/http/list_query.h"

#include <charconv>
#include <utility>

#include "scheduler/gateway/http/request_head.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxListed = 10'000;

}  // namespace

OrApiError<ListQuery> parse_list_query(std::string_view query,
                                       Result<RequestId> (*parse_id)(std::string_view)) {
  ListQuery list;
  if (const auto text = query_value(query, "limit")) {
    const auto [end, fault] =
        std::from_chars(text->data(), text->data() + text->size(), list.limit);
    if (fault != std::errc() || end != text->data() + text->size() || list.limit < 1 ||
        list.limit > kMaxListed) {
      return field_error("limit", "expected an integer in [1, 10000]");
    }
  }
  if (const auto text = query_value(query, "after")) {
    const auto id = parse_id(*text);
    if (!id.ok()) return field_error("after", id.error().message);
    list.after = id.value();
  }
  if (auto text = query_value(query, "purpose")) list.purpose = std::move(*text);
  if (const auto text = query_value(query, "order"); text && *text != "desc") {
    return field_error("order", "only \"desc\" is supported");
  }
  return list;
}

}  // namespace lockstep
