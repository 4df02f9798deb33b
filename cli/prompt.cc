#include "cli/prompt.h"

#include "base/file.h"
#include "cli/options.h"
#include "sharding/chat_template.h"

namespace lockstep {
namespace {

Result<std::vector<TokenId>> encode_chat(const std::string& message, const Store& store,
                                         const Tokenizer& tokenizer) {
  LOCKSTEP_TRY_ASSIGN(const std::string source, store.read_blob(TensorKind::kChatTemplate),
                      "chat template");
  if (source.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--chat: the model has no chat template; use --prompt"};
  }
  LOCKSTEP_TRY_ASSIGN(const ChatTemplate chat, ChatTemplate::parse(source), "chat template");
  nlohmann::ordered_json variables;
  variables["messages"] = nlohmann::ordered_json::array({{{"role", "user"}, {"content", message}}});
  variables["add_generation_prompt"] = true;
  const auto special = [&](std::optional<TokenId> id) {
    return std::string(id ? tokenizer.token_text(*id) : std::string_view());
  };
  variables["bos_token"] = special(tokenizer.bos());
  variables["eos_token"] = special(tokenizer.eos());
  LOCKSTEP_TRY_ASSIGN(const std::vector<PromptPiece> pieces, chat.render(variables),
                      "chat template");
  // Templates write the begin token themselves where the model wants one.
  return tokenizer.encode_prompt(pieces, /*add_bos=*/false);
}

}  // namespace

void add_prompt_options(CLI::App& command, PromptOptions& options) {
  auto* group = command.add_option_group("Prompt (exactly one)");
  add_text(*group, "--prompt", options.text, "Text as it is; special tokens in it stay text.");
  add_text(*group, "--chat", options.chat,
           "A user's message, put through the model's chat template.");
  add_text(*group, "--prompt-file", options.file, "Text of a file, at most 64 MiB.")
      ->type_name("FILE");
  add_list(*group, "--prompt-ids", options.ids, {0U, UINT32_MAX}, "Token ids.")
      ->type_name("ID,ID,...");
  group->require_option(1);
}

Result<std::vector<TokenId>> encode_prompt_options(const PromptOptions& options, const Store& store,
                                                   const Tokenizer& tokenizer) {
  std::vector<TokenId> ids = options.ids;
  if (options.chat) {
    LOCKSTEP_TRY_ASSIGN(ids, encode_chat(*options.chat, store, tokenizer), "--chat");
  } else if (options.text || options.file) {
    std::string text = options.text.value_or("");
    if (options.file) {
      LOCKSTEP_TRY_ASSIGN(text, read_file(*options.file, kMaxPromptBytes), "--prompt-file");
    }
    const PromptPiece piece{std::move(text), false};
    ids = tokenizer.encode_prompt({&piece, 1});
  }
  if (ids.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt is empty: give it a token at least"};
  }
  return ids;
}

}  // namespace lockstep
