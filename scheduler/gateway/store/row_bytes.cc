#include "scheduler/gateway/store/row_bytes.h"

#include <algorithm>
#include <bit>
#include <string>

namespace lockstep {
namespace {

constexpr std::uint8_t kSamplingVersion = 1;
constexpr std::uint8_t kHasDigests = 1;
constexpr std::uint8_t kHasLogprobs = 2;

Error corrupt(const char* what) {
  return Error{ErrorCode::kCorrupt, std::string(what) + " is damaged"};
}

// Takes values from the front; a read behind the end gives zeros and is remembered.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  template <typename T>
  T take() {
    T value{};
    const ByteView bytes = take_bytes(sizeof value);
    if (!bytes.empty()) value = load_le<T>(bytes.data());
    return value;
  }
  // Empty when there are not as many.
  ByteView take_bytes(std::size_t count) {
    if (count > rest_.size()) {
      is_short_ = true;
      return {};
    }
    const ByteView bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  // A number of elements of at least `bytes` each; 0 when they could not be there.
  std::uint32_t take_count(std::size_t bytes) {
    const auto count = take<std::uint32_t>();
    if (count <= rest_.size() / bytes) return count;
    is_short_ = true;
    return 0;
  }
  bool is_done() const { return !is_short_ && rest_.empty(); }
  bool is_short() const { return is_short_; }

 private:
  ByteView rest_;
  bool is_short_ = false;
};

void append_completion_token(Bytes& out, const CompletionToken& token, std::uint8_t flags) {
  append_le(out, token.token);
  if ((flags & kHasDigests) != 0) {
    out.insert(out.end(), token.logits_digest.bytes.begin(), token.logits_digest.bytes.end());
  }
  if ((flags & kHasLogprobs) == 0) return;
  append_le(out, token.logprob);
  append_le(out, static_cast<std::uint32_t>(token.top.size()));
  for (const TokenLogprob& top : token.top) {
    append_le(out, top.token);
    append_le(out, top.logprob);
  }
}

CompletionToken take_completion_token(ByteReader& reader, std::uint8_t flags) {
  CompletionToken token;
  token.token = reader.take<std::uint32_t>();
  if ((flags & kHasDigests) != 0) {
    std::ranges::copy(reader.take_bytes(token.logits_digest.bytes.size()),
                      token.logits_digest.bytes.begin());
  }
  if ((flags & kHasLogprobs) == 0) return token;
  token.logprob = reader.take<float>();
  token.top.resize(reader.take_count(8));
  for (TokenLogprob& top : token.top) {
    top.token = reader.take<std::uint32_t>();
    top.logprob = reader.take<float>();
  }
  return token;
}

}  // namespace

Bytes encode_token_ids(std::span<const std::uint32_t> tokens) {
  Bytes out(tokens.size_bytes());
  if (!tokens.empty()) std::memcpy(out.data(), tokens.data(), out.size());
  return out;
}

Result<std::vector<std::uint32_t>> decode_token_ids(ByteView bytes) {
  std::vector<std::uint32_t> tokens(bytes.size() / 4);
  if (bytes.size() % 4 != 0) return corrupt("the prompt");
  if (!bytes.empty()) std::memcpy(tokens.data(), bytes.data(), bytes.size());
  return tokens;
}

Bytes encode_sampling(const SamplingParams& sampling) {
  Bytes out;
  append_le(out, kSamplingVersion);
  append_le(out, sampling.temperature);
  append_le(out, sampling.top_k);
  append_le(out, sampling.top_p);
  append_le(out, sampling.min_p);
  append_le(out, sampling.repetition_penalty);
  append_le(out, sampling.frequency_penalty);
  append_le(out, sampling.presence_penalty);
  append_le(out, sampling.seed);
  append_le(out, sampling.max_completion_tokens);
  append_le(out, sampling.context_limit);
  append_le(out, sampling.choice_index);
  append_le(out, static_cast<std::uint8_t>(sampling.ignore_eos));
  append_le(out, static_cast<std::uint8_t>(sampling.trace));
  append_le(out, static_cast<std::uint32_t>(sampling.stop.size()));
  for (const std::string& stop : sampling.stop) {
    append_le(out, static_cast<std::uint32_t>(stop.size()));
    out.insert(out.end(), stop.begin(), stop.end());
  }
  append_le(out, static_cast<std::uint32_t>(sampling.logit_bias.size()));
  for (const auto& [token, bias] : sampling.logit_bias) {
    append_le(out, token);
    append_le(out, bias);
  }
  return out;
}

Result<SamplingParams> decode_sampling(ByteView bytes) {
  ByteReader reader(bytes);
  if (reader.take<std::uint8_t>() != kSamplingVersion) return corrupt("the sampling's version");
  SamplingParams sampling;
  sampling.temperature = reader.take<float>();
  sampling.top_k = reader.take<std::uint32_t>();
  sampling.top_p = reader.take<float>();
  sampling.min_p = reader.take<float>();
  sampling.repetition_penalty = reader.take<float>();
  sampling.frequency_penalty = reader.take<float>();
  sampling.presence_penalty = reader.take<float>();
  sampling.seed = reader.take<std::uint64_t>();
  sampling.max_completion_tokens = reader.take<std::uint32_t>();
  sampling.context_limit = reader.take<std::uint32_t>();
  sampling.choice_index = reader.take<std::uint32_t>();
  const auto ignore_eos = reader.take<std::uint8_t>();
  const auto trace = reader.take<std::uint8_t>();
  if (ignore_eos > 1 || trace > 1) return corrupt("the sampling's flags");
  sampling.ignore_eos = ignore_eos == 1;
  sampling.trace = static_cast<TraceKind>(trace);
  sampling.stop.resize(reader.take_count(4));
  for (std::string& stop : sampling.stop) stop = as_text(reader.take_bytes(reader.take_count(1)));
  sampling.logit_bias.resize(reader.take_count(8));
  for (auto& [token, bias] : sampling.logit_bias) {
    token = reader.take<std::uint32_t>();
    bias = reader.take<float>();
  }
  if (!reader.is_done()) return corrupt("the sampling's length");
  return sampling;
}

Bytes encode_completion(std::span<const CompletionToken> tokens) {
  std::uint8_t flags = 0;
  for (const CompletionToken& token : tokens) {
    if (!token.logits_digest.is_zero()) flags |= kHasDigests;
    if (std::bit_cast<std::uint32_t>(token.logprob) != 0 || !token.top.empty())
      flags |= kHasLogprobs;
  }
  Bytes out;
  out.reserve(1 + tokens.size() * (flags == kHasDigests ? 36 : 64));
  append_le(out, flags);
  for (const CompletionToken& token : tokens) append_completion_token(out, token, flags);
  return out;
}

Status decode_completion(ByteView bytes, std::uint32_t count, std::vector<CompletionToken>& out) {
  ByteReader reader(bytes);
  const auto flags = reader.take<std::uint8_t>();
  if (flags > (kHasDigests | kHasLogprobs)) return corrupt("a piece of the answer");
  if (count > bytes.size() / 4) return corrupt("a piece of the answer");
  out.reserve(out.size() + count);
  for (std::uint32_t i = 0; i < count && !reader.is_short(); ++i) {
    out.push_back(take_completion_token(reader, flags));
  }
  if (!reader.is_done()) return corrupt("a piece of the answer");
  return {};
}

}  // namespace lockstep
