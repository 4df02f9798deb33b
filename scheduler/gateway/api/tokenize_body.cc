#include "scheduler/gateway/api/tokenize_body.h"

#include "scheduler/gateway/api/answer_text.h"
#include "scheduler/gateway/api/chat_messages.h"
#include "scheduler/gateway/api/field_reader.h"
#include "scheduler/gateway/api/sampling_fields.h"

namespace lockstep {
namespace {

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrApiError<std::vector<TokenId>> encode_fields(const ModelText& model, FieldReader& fields,
                                               std::int64_t unix_s) {
  if (const auto prompt = fields.text("prompt", SIZE_MAX)) {
    const bool add_bos = fields.flag("add_special_tokens").value_or(true);
    fields.finish();
    if (fields.fault()) return *fields.fault();
    return model.encode_text(*prompt, add_bos);
  }
  ChatPrompt chat;
  chat.messages = read_messages(fields);
  chat.tools = read_tools(fields);
  const bool add_prompt = fields.flag("add_generation_prompt").value_or(true);
  if (fields.flag("add_special_tokens").value_or(false)) {
    fields.fail("add_special_tokens", "the template of a chat writes them itself");
  }
  fields.finish();
  if (fields.fault()) return *fields.fault();
  return model.encode_chat(chat, add_prompt, unix_s);
}

OrderedJson model_json(const ModelText& model) {
  OrderedJson json;
  json["id"] = model.identity().name;
  json["object"] = "model";
  json["created"] = model.identity().created_s;
  json["owned_by"] = "lockstep";
  json["max_model_len"] = model.identity().context_tokens;
  json["model_id"] = model.identity().model_id.hex();
  json["numerics_version"] = model.identity().numerics_version;
  return json;
}

}  // namespace

OrApiError<std::string> answer_tokenize(const ModelText& model, std::string_view body,
                                        std::int64_t unix_s) {
  auto json = parse_body(body);
  if (auto* error = std::get_if<ApiError>(&json)) return std::move(*error);
  FieldReader fields(std::get<OrderedJson>(json));
  if (auto error = model.check_name(fields.text("model", 256).value_or(""))) {
    return std::move(*error);
  }
  const bool with_text = fields.flag("return_token_strs").value_or(false);
  const auto encoded = encode_fields(model, fields, unix_s);
  if (const auto* error = std::get_if<ApiError>(&encoded)) return *error;
  const auto& ids = std::get<std::vector<TokenId>>(encoded);
  OrderedJson answer;
  answer["count"] = ids.size();
  answer["max_model_len"] = model.identity().context_tokens;
  answer["tokens"] = ids;
  answer["token_strs"] = nullptr;
  if (with_text) {
    answer["token_strs"] = OrderedJson::array();
    for (const TokenId id : ids) {
      answer["token_strs"].push_back(token_label(model.tokenizer(), id, /*as_bytes=*/false));
    }
  }
  return dump(answer);
}

OrApiError<std::string> answer_detokenize(const ModelText& model, std::string_view body) {
  auto json = parse_body(body);
  if (auto* error = std::get_if<ApiError>(&json)) return std::move(*error);
  FieldReader fields(std::get<OrderedJson>(json));
  if (auto error = model.check_name(fields.text("model", 256).value_or(""))) {
    return std::move(*error);
  }
  std::optional<std::vector<std::uint32_t>> ids;
  const OrderedJson* tokens = fields.take("tokens");
  if (tokens == nullptr || !tokens->is_array()) {
    fields.fail("tokens", "expected a list of token ids");
  } else {
    ids = read_token_ids(*tokens, "tokens", fields);
  }
  fields.finish();
  if (fields.fault()) return *fields.fault();
  Detokenizer detokenizer(model.tokenizer());
  std::string text;
  for (const std::uint32_t id : *ids) {
    if (id >= static_cast<std::uint32_t>(model.tokenizer().vocab_size())) {
      return field_error("tokens", "token id " + std::to_string(id) + " is not in the vocabulary");
    }
    text += detokenizer.push(id);
  }
  text += detokenizer.finish();
  return dump({{"prompt", text}});
}

std::string models_body(const ModelText& model) {
  OrderedJson json;
  json["object"] = "list";
  json["data"] = OrderedJson::array({model_json(model)});
  return dump(json);
}

OrApiError<std::string> model_body(const ModelText& model, const std::string& name) {
  if (auto error = model.check_name(name)) return std::move(*error);
  return dump(model_json(model));
}

}  // namespace lockstep
