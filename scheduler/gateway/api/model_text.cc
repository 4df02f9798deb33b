#include "scheduler/gateway/api/model_text.h"

#include <algorithm>
#include <utility>

#include "sharding/store.h"

namespace lockstep {
namespace {

ApiError too_long(const std::string& what, std::uint32_t context, const char* param) {
  ApiError error =
      field_error(param, what + "; the model's context is " + std::to_string(context) + " tokens");
  error.code = "context_length_exceeded";
  return error;
}

}  // namespace

Result<std::shared_ptr<const ModelText>> ModelText::open(const Store& model, std::string name,
                                                         std::uint32_t context_tokens,
                                                         std::int64_t created_s) {
  const Manifest& manifest = model.manifest();
  ModelIdentity identity;
  identity.name = std::move(name);
  identity.model_id = manifest.model_id;
  identity.numerics_version = kNumericsVersion;
  identity.context_tokens = context_tokens != 0
                                ? context_tokens
                                : static_cast<std::uint32_t>(manifest.config.context_length);
  identity.created_s = created_s;
  LOCKSTEP_TRY_ASSIGN(const std::string tokenizer, model.read_blob(TensorKind::kTokenizer),
                      "tokenizer");
  LOCKSTEP_TRY_ASSIGN(const std::string chat, model.read_blob(TensorKind::kChatTemplate),
                      "chat template");
  return create(std::move(identity), tokenizer, chat);
}

Result<std::shared_ptr<const ModelText>> ModelText::create(ModelIdentity identity,
                                                           std::string_view tokenizer_blob,
                                                           std::string_view chat_template) {
  LOCKSTEP_TRY_ASSIGN(Tokenizer tokenizer, Tokenizer::from_json(tokenizer_blob), "tokenizer");
  std::optional<ChatTemplate> chat;
  if (!chat_template.empty()) {
    LOCKSTEP_TRY_ASSIGN(chat, ChatTemplate::parse(chat_template), "chat template");
  }
  return std::shared_ptr<const ModelText>(
      new ModelText(std::move(identity), std::move(tokenizer), std::move(chat)));
}

ModelText::ModelText(ModelIdentity identity, Tokenizer tokenizer, std::optional<ChatTemplate> chat)
    : identity_(std::move(identity)), tokenizer_(std::move(tokenizer)), chat_(std::move(chat)) {
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer_.vocab_size()); ++id) {
    max_token_bytes_ = std::max(
        {max_token_bytes_, tokenizer_.token_bytes(id).size(), tokenizer_.token_text(id).size()});
  }
}

std::string ModelText::fingerprint() const {
  return "lockstep-" + identity_.model_id.hex().substr(0, 16) + "-" +
         std::to_string(identity_.numerics_version);
}

std::optional<ApiError> ModelText::check_name(const std::string& name) const {
  if (name.empty() || name == identity_.name) return std::nullopt;
  ApiError error = field_error(
      "model", "\"" + name + "\" does not exist here; there is \"" + identity_.name + "\"");
  error.status = 404;
  error.code = "model_not_found";
  return error;
}

OrApiError<std::vector<TokenId>> ModelText::encode_text(const std::string& text,
                                                        bool add_bos) const {
  // So that nobody pays for the tokens of a text that cannot fit.
  if (text.size() / max_token_bytes_ > identity_.context_tokens) {
    return too_long("a text of " + std::to_string(text.size()) + " bytes is too long",
                    identity_.context_tokens, "prompt");
  }
  const PromptPiece piece{text, false};
  return tokenizer_.encode_prompt({&piece, 1}, add_bos);
}

OrApiError<std::vector<TokenId>> ModelText::encode_chat(const ChatPrompt& chat,
                                                        bool add_generation_prompt,
                                                        std::int64_t unix_s) const {
  if (!chat_) return field_error("messages", "the model has no chat template; use a prompt");
  OrderedJson variables;
  variables["messages"] = chat.messages;
  variables["tools"] = chat.tools;
  variables["add_generation_prompt"] = add_generation_prompt;
  const auto special = [&](std::optional<TokenId> id) {
    return std::string(id ? tokenizer_.token_text(*id) : std::string_view());
  };
  variables["bos_token"] = special(tokenizer_.bos());
  variables["eos_token"] = special(tokenizer_.eos());
  variables["strftime_now"] = unix_s;
  const Result<std::vector<PromptPiece>> pieces = chat_->render(variables);
  if (!pieces.ok()) return field_error("messages", pieces.error().message);
  std::size_t bytes = 0;
  for (const PromptPiece& piece : pieces.value()) bytes += piece.text.size();
  if (bytes / max_token_bytes_ > identity_.context_tokens) {
    return too_long("a chat of " + std::to_string(bytes) + " bytes is too long",
                    identity_.context_tokens, "messages");
  }
  // Templates write the begin token themselves where the model wants one.
  return tokenizer_.encode_prompt(pieces.value(), /*add_bos=*/false);
}

OrApiError<std::vector<TokenId>> ModelText::encode(const GenerationRequest& request,
                                                   std::int64_t unix_s) const {
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    return encode_chat(*chat, true, unix_s);
  }
  if (const auto* text = std::get_if<std::string>(&request.prompt)) return encode_text(*text, true);
  const auto& ids = std::get<std::vector<std::uint32_t>>(request.prompt);
  for (const std::uint32_t id : ids) {
    if (id >= static_cast<std::uint32_t>(tokenizer_.vocab_size())) {
      return field_error("prompt", "token id " + std::to_string(id) + " is not in the vocabulary");
    }
  }
  return ids;
}

OrApiError<JobRecord> ModelText::make_job(const GenerationRequest& request, std::uint64_t seed,
                                          std::int64_t unix_ms) const {
  const char* param = request.answer.chat ? "messages" : "prompt";
  if (auto error = check_name(request.model)) return std::move(*error);
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (id >= static_cast<std::uint32_t>(tokenizer_.vocab_size())) {
      return field_error("logit_bias",
                         "token id " + std::to_string(id) + " is not in the vocabulary");
    }
  }
  auto ids = encode(request, unix_ms / 1000);
  if (auto* error = std::get_if<ApiError>(&ids)) return std::move(*error);
  JobRecord job;
  job.prompt = std::get<std::vector<TokenId>>(std::move(ids));
  if (job.prompt.empty()) return field_error(param, "is empty: give it a token at least");
  const std::uint32_t context = identity_.context_tokens;
  const std::size_t prompt = job.prompt.size();
  if (prompt >= context) {
    return too_long(std::to_string(prompt) + " tokens leave no room for an answer", context, param);
  }
  const std::uint32_t room = context - static_cast<std::uint32_t>(prompt);
  job.sampling = request.sampling;
  if (!request.has_max_tokens) job.sampling.max_completion_tokens = room;
  if (job.sampling.max_completion_tokens > room) {
    return too_long(std::to_string(prompt) + " tokens and an answer of up to " +
                        std::to_string(job.sampling.max_completion_tokens) + " do not fit",
                    context, "max_tokens");
  }
  if (!request.has_seed) job.sampling.seed = request.sampling.temperature > 0 ? seed : 0;
  job.sampling.context_limit = context;
  job.num_choices = request.num_choices;
  job.num_top_logprobs = request.answer.num_top_logprobs;
  job.model_id = identity_.model_id;
  job.numerics_version = identity_.numerics_version;
  job.created_ms = unix_ms;
  return job;
}

}  // namespace lockstep
