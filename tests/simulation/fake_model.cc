#include "tests/simulation/fake_model.h"

namespace lockstep::simulation {

std::uint64_t salt_of(std::string_view tenant) {
  std::uint64_t salt = 1;
  for (const char c : tenant) salt = mix(salt, static_cast<unsigned char>(c));
  return salt;
}

std::uint32_t next_token(std::uint64_t context, std::uint64_t seed, std::uint32_t choice,
                         std::uint32_t index) {
  std::uint64_t hash = mix(context, seed);
  hash = mix(hash, choice);
  hash = mix(hash, index);
  return static_cast<std::uint32_t>(hash >> 40);
}

Answer answer_of(std::string_view tenant, std::span<const std::uint32_t> prompt, std::uint64_t seed,
                 std::uint32_t choice, std::uint32_t max_tokens) {
  const std::uint64_t salt = salt_of(tenant);
  std::uint64_t context = 0;
  std::uint32_t position = 0;
  for (const std::uint32_t token : prompt) context += kv_of(token, position++, salt);
  Answer answer;
  while (answer.tokens.size() < max_tokens) {
    const auto index = static_cast<std::uint32_t>(answer.tokens.size());
    const std::uint32_t token = next_token(context, seed, choice, index);
    answer.tokens.push_back(token);
    if (is_end(token)) {
      answer.reason = FinishReason::kStop;
      break;
    }
    context += kv_of(token, position++, salt);
  }
  return answer;
}

}  // namespace lockstep::simulation
