#include "scheduler/gateway/api/chat_messages.h"

#include <algorithm>
#include <array>

#include "scheduler/gateway/api/generation_request.h"

namespace lockstep {
namespace {

constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};

std::string place(const std::string& name, std::size_t index) {
  return name + "[" + std::to_string(index) + "]";
}

// A content in parts, all of them text.
std::optional<std::string> join_parts(const OrderedJson& parts, const std::string& path,
                                      FieldReader& fields) {
  std::string joined;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    FieldReader part(parts[i], place(path + "content", i) + ".");
    const auto type = part.text("type", 64);
    const auto text = part.text("text", SIZE_MAX);
    if (type && *type != "text") part.fail("type", "only \"text\" is supported");
    if (part.ok() && (!type || !text)) part.fail("text", "is missing");
    part.finish();
    if (part.fault()) {
      fields.fail(*part.fault());
      return std::nullopt;
    }
    if (i > 0) joined += '\n';
    joined += *text;
  }
  return joined;
}

void read_content(FieldReader& message, const std::string& path, OrderedJson& out) {
  const OrderedJson* content = message.take("content");
  if (content == nullptr) {
    out["content"] = nullptr;
  } else if (content->is_string()) {
    out["content"] = *content;
  } else if (content->is_array()) {
    if (auto joined = join_parts(*content, path, message)) out["content"] = std::move(*joined);
  } else {
    message.fail("content", "expected a string or a list of texts");
  }
}

// Templates write arguments as JSON and want them as objects; OpenAI's clients send text.
OrderedJson read_call(const OrderedJson& call, const std::string& path, FieldReader& message) {
  OrderedJson out = call;
  FieldReader fields(call, path + ".");
  fields.text("id", 256);
  fields.text("type", 64);
  const OrderedJson* function = fields.take("function");
  if (function == nullptr) {
    fields.fail("function", "is missing");
  } else {
    FieldReader inner(*function, path + ".function.");
    if (!inner.text("name", 256)) inner.fail("name", "is missing");
    const OrderedJson* arguments = inner.take("arguments");
    if (arguments != nullptr && arguments->is_string()) {
      const auto& text = arguments->get_ref<const std::string&>();
      auto parsed = parse_ordered_json(text.empty() ? "{}" : text);
      if (!parsed.ok() || !parsed.value().is_object()) {
        inner.fail("arguments", "is no JSON object");
      } else {
        out["function"]["arguments"] = std::move(parsed).value();
      }
    } else if (arguments != nullptr && !arguments->is_object()) {
      inner.fail("arguments", "expected a string that holds a JSON object");
    }
    inner.finish();
    if (inner.fault()) fields.fail(*inner.fault());
  }
  fields.finish();
  if (fields.fault()) message.fail(*fields.fault());
  return out;
}

void read_calls(FieldReader& message, const std::string& path, OrderedJson& out) {
  const OrderedJson* calls = message.take("tool_calls");
  if (calls == nullptr) return;
  if (!calls->is_array() || calls->size() > kMaxTools) {
    return message.fail("tool_calls", "expected a list of at most " + std::to_string(kMaxTools));
  }
  OrderedJson list = OrderedJson::array();
  for (std::size_t i = 0; i < calls->size(); ++i) {
    list.push_back(read_call((*calls)[i], place(path + "tool_calls", i), message));
  }
  out["tool_calls"] = std::move(list);
}

OrderedJson read_message(const OrderedJson& json, std::size_t index, FieldReader& fields) {
  const std::string path = place("messages", index) + ".";
  FieldReader message(json, path);
  OrderedJson out;
  const auto role = message.text("role", 64);
  if (message.ok() && (!role || std::find(kRoles.begin(), kRoles.end(), *role) == kRoles.end())) {
    message.fail("role", "expected system, developer, user, assistant, tool or function");
  }
  out["role"] = role.value_or("");
  read_content(message, path, out);
  read_calls(message, path, out);
  for (const char* name : {"name", "tool_call_id"}) {
    if (auto text = message.text(name, 256)) out[name] = std::move(*text);
  }
  if (message.ok() && out["content"].is_null() && !out.contains("tool_calls")) {
    message.fail("content", "is missing");
  }
  message.finish();
  if (message.fault()) fields.fail(*message.fault());
  return out;
}

}  // namespace

OrderedJson read_messages(FieldReader& fields) {
  OrderedJson out = OrderedJson::array();
  const OrderedJson* messages = fields.take("messages");
  if (messages == nullptr) {
    fields.fail("messages", "is missing");
  } else if (!messages->is_array() || messages->empty() || messages->size() > kMaxMessages) {
    fields.fail("messages",
                "expected a list of 1 to " + std::to_string(kMaxMessages) + " messages");
  } else {
    for (std::size_t i = 0; i < messages->size() && fields.ok(); ++i) {
      out.push_back(read_message((*messages)[i], i, fields));
    }
  }
  return out;
}

OrderedJson read_tools(FieldReader& fields) {
  const OrderedJson* tools = fields.take("tools");
  const OrderedJson* choice = fields.take("tool_choice");
  if (choice != nullptr && *choice != "none" && *choice != "auto") {
    fields.fail("tool_choice", "only \"auto\" and \"none\" are supported");
  }
  if (tools == nullptr) return nullptr;
  if (!tools->is_array() || tools->empty() || tools->size() > kMaxTools) {
    fields.fail("tools", "expected a list of 1 to " + std::to_string(kMaxTools) + " tools");
    return nullptr;
  }
  for (std::size_t i = 0; i < tools->size() && fields.ok(); ++i) {
    FieldReader tool((*tools)[i], place("tools", i) + ".");
    const auto type = tool.text("type", 64);
    if (type.value_or("") != "function") tool.fail("type", "only \"function\" is supported");
    const OrderedJson* function = tool.take("function");
    if (function == nullptr || !function->is_object()) tool.fail("function", "expected an object");
    tool.finish();
    if (tool.fault()) fields.fail(*tool.fault());
  }
  if (choice != nullptr && *choice == "none") return nullptr;
  return *tools;
}

}  // namespace lockstep
