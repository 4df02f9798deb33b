// What the API knows of the model: its name, its words, its context. From a request to the prompt's
// token ids. Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "scheduler/gateway/api/generation_request.h"
#include "scheduler/job.h"
#include "sharding/chat_template.h"
#include "sharding/tokenizer.h"

namespace lockstep {

class Store;

struct ModelIdentity {
  std::string name;  // As clients ask for it.
  Digest model_id;
  std::uint32_t numerics_version = 0;
  std::uint32_t context_tokens = 0;
  std::int64_t created_s = 0;  // Unix time, for /v1/models.
};

class ModelText {
 public:
  // `chat_template` empty: the model has none, and chats are refused.
  static Result<std::shared_ptr<const ModelText>> create(ModelIdentity identity,
                                                         std::string_view tokenizer_blob,
                                                         std::string_view chat_template);

  // Of a store. `name` is what clients call the model; context_tokens 0: the model's.
  static Result<std::shared_ptr<const ModelText>> open(const Store& model, std::string name,
                                                       std::uint32_t context_tokens,
                                                       std::int64_t created_s);

  const ModelIdentity& identity() const { return identity_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  // "lockstep-<model>-<numerics version>": equal fingerprints give equal answers.
  std::string fingerprint() const;

  // 404 when `name` is given and another model's.
  std::optional<ApiError> check_name(const std::string& name) const;

  // The ids of the prompt. A text is tokenized as it is, special tokens written out in it stay
  // text; `unix_s` is what templates may print as today.
  OrApiError<std::vector<TokenId>> encode(const GenerationRequest& request,
                                          std::int64_t unix_s) const;
  OrApiError<std::vector<TokenId>> encode_text(const std::string& text, bool add_bos) const;
  OrApiError<std::vector<TokenId>> encode_chat(const ChatPrompt& chat, bool add_generation_prompt,
                                               std::int64_t unix_s) const;

  // The job that `request` asks for, all but the identity of client and row. `seed` is taken when
  // the request has none. 400 when prompt and answer do not fit into the context.
  OrApiError<JobRecord> make_job(const GenerationRequest& request, std::uint64_t seed,
                                 std::int64_t unix_ms) const;

 private:
  ModelText(ModelIdentity identity, Tokenizer tokenizer, std::optional<ChatTemplate> chat);

  ModelIdentity identity_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  std::size_t max_token_bytes_ = 1;
};

}  // namespace lockstep
