// Renders chat templates for the differential tests: one JSON object {"template", "variables"} a
// line on stdin, one {"text"} or {"error"} a line on stdout.
#include <iostream>
#include <string>

#include "sharding/chat_template.h"

namespace {

using lockstep::ChatTemplate;
using lockstep::OrderedJson;

lockstep::Result<std::string> render(const std::string& line) {
  auto request = lockstep::parse_ordered_json(line, 200);
  if (!request.ok()) return request.error();
  auto parsed = ChatTemplate::parse(request.value().at("template").get<std::string>());
  if (!parsed.ok()) return parsed.error();
  return parsed.value().render_text(request.value().at("variables"));
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = render(line);
    OrderedJson answer;
    if (text.ok()) {
      answer["text"] = text.value();
    } else {
      answer["error"] = text.error().message;
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}
