// /tokenize and /detokenize, in vLLM's shapes. Pure.
#pragma once

#include <string>
#include <string_view>

#include "scheduler/gateway/api/model_text.h"

namespace lockstep {

// {"count", "max_model_len", "tokens", "token_strs"} of a prompt or of messages.
OrApiError<std::string> answer_tokenize(const ModelText& model, std::string_view body,
                                        std::int64_t unix_s);

// {"prompt"}
OrApiError<std::string> answer_detokenize(const ModelText& model, std::string_view body);

// {"object": "list", "data": [...]}; one model.
std::string models_body(const ModelText& model);
// The model itself; 404 when `name` is another.
OrApiError<std::string> model_body(const ModelText& model, const std::string& name);

}  // namespace lockstep
