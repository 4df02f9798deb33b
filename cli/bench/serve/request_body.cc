#include "cli/bench/serve/request_body.h"

#include "sharding/chat_template.h"

namespace lockstep {

Result<RequestBody> RequestBody::make(const ServeBenchOptions& options, const std::string& model) {
  RequestBody body;
  body.chat_ = options.chat();
  OrderedJson& json = body.common_;
  json["model"] = model;
  json["stream"] = true;
  json["stream_options"] = {{"include_usage", true}};
  if (options.ignore_eos || options.dataset_name == "random") json["ignore_eos"] = true;
  const auto put = [&](const char* key, const auto& value) {
    if (value) json[key] = *value;
  };
  put("temperature", options.temperature);
  put("top_p", options.top_p);
  put("top_k", options.top_k);
  put("min_p", options.min_p);
  put("frequency_penalty", options.frequency_penalty);
  put("presence_penalty", options.presence_penalty);
  put("repetition_penalty", options.repetition_penalty);
  if (body.chat_ && options.logprobs) {
    json["logprobs"] = true;
    json["top_logprobs"] = *options.logprobs;
  } else {
    put("logprobs", options.logprobs);
  }
  if (options.extra_body) {
    LOCKSTEP_TRY_ASSIGN(const OrderedJson extra, parse_ordered_json(*options.extra_body), "JSON");
    if (!extra.is_object()) {
      return Error{ErrorCode::kInvalidArgument, "expected a JSON object"};
    }
    json.update(extra);
  }
  return body;
}

std::string RequestBody::text(const BenchPrompt& prompt) const {
  OrderedJson json = common_;
  if (chat_) {
    json["messages"] = OrderedJson::array({{{"role", "user"}, {"content", prompt.text}}});
    json["max_completion_tokens"] = prompt.completion_tokens;
  } else {
    json["prompt"] = prompt.ids.empty() ? OrderedJson(prompt.text) : OrderedJson(prompt.ids);
    json["max_tokens"] = prompt.completion_tokens;
  }
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace lockstep
