#include "base/wire.h"

#include <lockstep/wire.pb.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"

namespace lockstep {
namespace {

template <std::size_t N>
std::string text_of(const std::array<std::uint8_t, N>& bytes) {
  return std::string(as_text(bytes));
}

template <std::size_t N>
Status read_bytes(const std::string& text, std::array<std::uint8_t, N>& out, const char* field) {
  if (text.size() != N) {
    return Error{ErrorCode::kCorrupt, std::string(field) + ": expected " + std::to_string(N) +
                                          " bytes, got " + std::to_string(text.size())};
  }
  std::ranges::copy(as_bytes(text), out.begin());
  return {};
}

Error wrong(const char* field, const char* what) {
  return {ErrorCode::kCorrupt, std::string(field) + ": " + what};
}

template <typename Message>
Bytes serialize(const Message& message) {
  const std::size_t bytes = message.ByteSizeLong();
  CHECK(bytes <= static_cast<std::size_t>(std::numeric_limits<int>::max()),
        "a valid message has less than 2 GiB");
  Bytes out(bytes);
  message.SerializeToArray(out.data(), static_cast<int>(bytes));
  return out;
}

// ---- Keys.

void write(const ChoiceKey& key, std::uint32_t attempt, wire::Key& out) {
  out.set_request(text_of(key.request.bytes));
  out.set_choice(key.choice);
  out.set_attempt(attempt);
}

Status read(const wire::Key& in, ChoiceKey& key, std::uint32_t& attempt) {
  LOCKSTEP_TRY(read_bytes(in.request(), key.request.bytes, "request"), "key");
  key.choice = in.choice();
  attempt = in.attempt();
  return {};
}

// ---- Completion tokens: columns; one that says nothing is left out.

bool is_plain(const CompletionToken& token) {
  return std::bit_cast<std::uint32_t>(token.logprob) == 0 && token.top.empty();
}

void write(const std::vector<CompletionToken>& tokens, wire::Tokens& out) {
  const bool digests = !std::ranges::all_of(
      tokens, [](const CompletionToken& token) { return token.logits_digest.is_zero(); });
  const bool plain = std::ranges::all_of(tokens, is_plain);
  for (const CompletionToken& token : tokens) {
    out.add_token(token.token);
    if (digests) out.mutable_logits_digest()->append(as_text(token.logits_digest.bytes));
    if (plain) continue;
    out.add_logprob(token.logprob);
    out.add_top_count(static_cast<std::uint32_t>(token.top.size()));
    for (const TokenLogprob& top : token.top) {
      out.add_top_token(top.token);
      out.add_top_logprob(top.logprob);
    }
  }
}

Status read(const wire::Tokens& in, std::vector<CompletionToken>& tokens) {
  const int count = in.token_size();
  const auto size = static_cast<std::size_t>(count);
  const std::string& digests = in.logits_digest();
  const bool plain = in.logprob_size() == 0;
  if (size > kMaxWireTokens) return wrong("token", "too many");
  if (!digests.empty() && digests.size() != size * sizeof(Digest)) {
    return wrong("logits_digest", "not 32 bytes a token");
  }
  if (in.top_count_size() != in.logprob_size() || (!plain && in.logprob_size() != count)) {
    return wrong("logprob", "not one a token");
  }
  if (in.top_token_size() != in.top_logprob_size()) return wrong("top_logprob", "not one a token");
  int next_top = 0;
  tokens.resize(size);
  for (int i = 0; i < count; ++i) {
    CompletionToken& token = tokens[static_cast<std::size_t>(i)];
    token.token = in.token(i);
    if (!digests.empty()) {
      const auto begin = digests.begin() + static_cast<std::ptrdiff_t>(i * sizeof(Digest));
      std::copy_n(begin, sizeof(Digest), token.logits_digest.bytes.begin());
    }
    if (plain) continue;
    token.logprob = in.logprob(i);
    const std::uint32_t tops = in.top_count(i);
    if (tops > static_cast<std::uint32_t>(in.top_token_size() - next_top)) {
      return wrong("top_count", "more than there are");
    }
    for (std::uint32_t t = 0; t < tops; ++t, ++next_top) {
      token.top.push_back({in.top_token(next_top), in.top_logprob(next_top)});
    }
  }
  if (next_top != in.top_token_size()) return wrong("top_token", "more than were counted");
  return {};
}

// ---- Sampling.

void write(const SamplingParams& sampling, wire::Sampling& out) {
  out.set_temperature(sampling.temperature);
  out.set_top_k(sampling.top_k);
  out.set_top_p(sampling.top_p);
  out.set_min_p(sampling.min_p);
  out.set_repetition_penalty(sampling.repetition_penalty);
  out.set_frequency_penalty(sampling.frequency_penalty);
  out.set_presence_penalty(sampling.presence_penalty);
  out.set_seed(sampling.seed);
  out.set_max_completion_tokens(sampling.max_completion_tokens);
  for (const std::string& stop : sampling.stop) {
    out.add_stop_bytes(static_cast<std::uint32_t>(stop.size()));
    out.mutable_stop_text()->append(stop);
  }
  for (const auto& [token, bias] : sampling.logit_bias) {
    out.add_bias_token(token);
    out.add_bias(bias);
  }
  out.set_ignore_eos(sampling.ignore_eos);
  out.set_context_limit(sampling.context_limit);
  out.set_choice_index(sampling.choice_index);
  out.set_trace(static_cast<std::uint32_t>(sampling.trace));
}

Status read_stops(const wire::Sampling& in, std::vector<std::string>& stops) {
  if (static_cast<std::size_t>(in.stop_bytes_size()) > kMaxWireStops) {
    return wrong("stop", "too many");
  }
  std::string_view rest = in.stop_text();
  for (const std::uint32_t bytes : in.stop_bytes()) {
    if (bytes > rest.size()) return wrong("stop", "longer than its text");
    stops.emplace_back(rest.substr(0, bytes));
    rest.remove_prefix(bytes);
  }
  if (!rest.empty()) return wrong("stop", "text behind the last one");
  return {};
}

Status read(const wire::Sampling& in, SamplingParams& sampling) {
  sampling.temperature = in.temperature();
  sampling.top_k = in.top_k();
  sampling.top_p = in.top_p();
  sampling.min_p = in.min_p();
  sampling.repetition_penalty = in.repetition_penalty();
  sampling.frequency_penalty = in.frequency_penalty();
  sampling.presence_penalty = in.presence_penalty();
  sampling.seed = in.seed();
  sampling.max_completion_tokens = in.max_completion_tokens();
  LOCKSTEP_TRY(read_stops(in, sampling.stop), "sampling");
  if (in.bias_token_size() != in.bias_size()) return wrong("logit_bias", "not one a token");
  for (int i = 0; i < in.bias_size(); ++i) {
    sampling.logit_bias.emplace_back(in.bias_token(i), in.bias(i));
  }
  sampling.ignore_eos = in.ignore_eos();
  sampling.context_limit = in.context_limit();
  sampling.choice_index = in.choice_index();
  if (in.trace() > static_cast<std::uint32_t>(TraceKind::kLogits)) return wrong("trace", "unknown");
  sampling.trace = static_cast<TraceKind>(in.trace());
  return {};
}

// ---- Ends.

void write(const ChoiceEnd& end, wire::End& out) {
  if (!end.status.ok()) {
    const Error& error = end.status.error();
    out.set_code(static_cast<std::uint32_t>(error.code) + 1);
    out.set_message(error.message.substr(0, kMaxWireErrorBytes));
  }
  out.set_reason(static_cast<std::uint32_t>(end.reason));
  out.set_num_tokens(end.num_tokens);
  out.set_cached_tokens(end.cached_tokens);
  out.set_computed_tokens(end.computed_tokens);
  out.set_steps(end.steps);
}

Status read(const wire::End& in, ChoiceEnd& end) {
  constexpr auto kLastCode = static_cast<std::uint32_t>(ErrorCode::kInternal) + 1;
  if (in.code() > kLastCode) return wrong("code", "unknown");
  if (in.message().size() > kMaxWireErrorBytes) return wrong("message", "too long");
  if (in.code() == 0 && !in.message().empty()) return wrong("message", "without an error");
  if (in.code() != 0) end.status = Error{static_cast<ErrorCode>(in.code() - 1), in.message()};
  if (in.reason() > static_cast<std::uint32_t>(FinishReason::kLength)) {
    return wrong("reason", "unknown");
  }
  end.reason = static_cast<FinishReason>(in.reason());
  end.num_tokens = in.num_tokens();
  end.cached_tokens = in.cached_tokens();
  end.computed_tokens = in.computed_tokens();
  end.steps = in.steps();
  return {};
}

// ---- Gateway to replica.

void write(const IdentifyMessage& /*body*/, wire::ToReplica& out) { out.mutable_identify(); }
void write(const DrainMessage& /*body*/, wire::ToReplica& out) { out.mutable_drain(); }

void write(const WelcomeMessage& body, wire::ToReplica& out) {
  out.mutable_welcome()->set_lease_ms(body.lease_ms);
  out.mutable_welcome()->set_beat_ms(body.beat_ms);
}

void write(const AssignMessage& body, wire::ToReplica& out) {
  wire::Assign& assign = *out.mutable_assign();
  write(body.key, body.attempt, *assign.mutable_key());
  assign.set_priority(body.priority);
  assign.set_tenant(body.tenant);
  assign.mutable_prompt()->Add(body.prompt.begin(), body.prompt.end());
  write(body.sampling, *assign.mutable_sampling());
  assign.set_num_top_logprobs(body.num_top_logprobs);
  write(body.delivered, *assign.mutable_delivered());
}

void write(const CancelMessage& body, wire::ToReplica& out) {
  write(body.key, body.attempt, *out.mutable_cancel()->mutable_key());
}

void write(const LeaseMessage& body, wire::ToReplica& out) {
  out.mutable_lease()->set_sequence(body.sequence);
}

Result<AssignMessage> read(const wire::Assign& in) {
  AssignMessage assign;
  LOCKSTEP_TRY(read(in.key(), assign.key, assign.attempt), "assign");
  if (in.priority() > std::numeric_limits<std::uint8_t>::max()) return wrong("priority", "unknown");
  assign.priority = static_cast<std::uint8_t>(in.priority());
  assign.tenant = in.tenant();
  assign.prompt.assign(in.prompt().begin(), in.prompt().end());
  LOCKSTEP_TRY(read(in.sampling(), assign.sampling), "assign");
  assign.num_top_logprobs = in.num_top_logprobs();
  LOCKSTEP_TRY(read(in.delivered(), assign.delivered), "assign: delivered");
  return assign;
}

Status read(const wire::ToReplica& in, ToReplica& message) {
  switch (in.body_case()) {
    case wire::ToReplica::kIdentify:
      message.body = IdentifyMessage{};
      return {};
    case wire::ToReplica::kWelcome:
      message.body = WelcomeMessage{in.epoch(), in.welcome().lease_ms(), in.welcome().beat_ms()};
      return {};
    case wire::ToReplica::kAssign: {
      LOCKSTEP_TRY_ASSIGN(message.body, read(in.assign()), "to replica");
      return {};
    }
    case wire::ToReplica::kCancel: {
      CancelMessage cancel;
      LOCKSTEP_TRY(read(in.cancel().key(), cancel.key, cancel.attempt), "cancel");
      message.body = cancel;
      return {};
    }
    case wire::ToReplica::kLease:
      message.body = LeaseMessage{in.lease().sequence()};
      return {};
    case wire::ToReplica::kDrain:
      message.body = DrainMessage{};
      return {};
    case wire::ToReplica::BODY_NOT_SET:
      break;
  }
  return wrong("body", "none that is known");
}

// ---- Replica to gateway.

void write(const HelloMessage& body, wire::ToGateway& out) {
  wire::Hello& hello = *out.mutable_hello();
  hello.set_model_id(text_of(body.model_id.bytes));
  hello.set_numerics_version(body.numerics_version);
  hello.set_device(body.device);
  hello.set_context_tokens(body.context_tokens);
  hello.set_max_sequences(body.max_sequences);
  hello.set_num_blocks(body.num_blocks);
  for (const RankProcess& rank : body.ranks) {
    wire::Rank& process = *hello.add_ranks();
    process.set_host(rank.host);
    process.set_pid(static_cast<std::uint64_t>(rank.pid));
    process.set_start_ticks(rank.start_ticks);
  }
}

void write(const BeatMessage& body, wire::ToGateway& out) {
  wire::Beat& beat = *out.mutable_beat();
  beat.set_sequence(body.sequence);
  beat.set_steps(body.steps);
  beat.set_step_age_ms(body.step_age_ms);
  beat.set_running(body.running);
  beat.set_waiting(body.waiting);
  beat.set_blocks_free(body.blocks_free);
  beat.set_blocks_cached(body.blocks_cached);
  beat.set_preemptions(body.preemptions);
  beat.set_prompt_tokens(body.prompt_tokens);
  beat.set_cached_tokens(body.cached_tokens);
  beat.set_completion_tokens(body.completion_tokens);
  beat.set_oldest_rank_beat_ms(body.oldest_rank_beat_ms);
  beat.set_stalled_ms(body.stalled_ms);
}

void write(const ProgressMessage& body, wire::ToGateway& out) {
  wire::Progress& progress = *out.mutable_progress();
  for (const ChoiceProgress& entry : body.choices) {
    wire::Choice& choice = *progress.add_choices();
    write(entry.key, entry.attempt, *choice.mutable_key());
    choice.set_first(entry.first);
    if (!entry.tokens.empty()) write(entry.tokens, *choice.mutable_tokens());
    if (entry.end) write(*entry.end, *choice.mutable_end());
  }
}

void write(const DrainedMessage& /*body*/, wire::ToGateway& out) { out.mutable_drained(); }

Result<HelloMessage> read(const wire::Hello& in) {
  HelloMessage hello;
  LOCKSTEP_TRY(read_bytes(in.model_id(), hello.model_id.bytes, "model_id"), "hello");
  hello.numerics_version = in.numerics_version();
  hello.device = in.device();
  hello.context_tokens = in.context_tokens();
  hello.max_sequences = in.max_sequences();
  hello.num_blocks = in.num_blocks();
  for (const wire::Rank& rank : in.ranks()) {
    if (rank.pid() > INT32_MAX) return wrong("pid", "no process id");
    hello.ranks.push_back({rank.host(), static_cast<std::int64_t>(rank.pid()), rank.start_ticks()});
  }
  return hello;
}

BeatMessage read(const wire::Beat& in) {
  BeatMessage beat;
  beat.sequence = in.sequence();
  beat.steps = in.steps();
  beat.step_age_ms = in.step_age_ms();
  beat.running = in.running();
  beat.waiting = in.waiting();
  beat.blocks_free = in.blocks_free();
  beat.blocks_cached = in.blocks_cached();
  beat.preemptions = in.preemptions();
  beat.prompt_tokens = in.prompt_tokens();
  beat.cached_tokens = in.cached_tokens();
  beat.completion_tokens = in.completion_tokens();
  beat.oldest_rank_beat_ms = in.oldest_rank_beat_ms();
  beat.stalled_ms = in.stalled_ms();
  return beat;
}

Result<ProgressMessage> read(const wire::Progress& in) {
  ProgressMessage progress;
  for (const wire::Choice& choice : in.choices()) {
    ChoiceProgress& entry = progress.choices.emplace_back();
    LOCKSTEP_TRY(read(choice.key(), entry.key, entry.attempt), "progress");
    entry.first = choice.first();
    LOCKSTEP_TRY(read(choice.tokens(), entry.tokens), "progress");
    if (choice.has_end()) LOCKSTEP_TRY(read(choice.end(), entry.end.emplace()), "progress");
  }
  return progress;
}

Status read(const wire::ToGateway& in, ToGateway& message) {
  switch (in.body_case()) {
    case wire::ToGateway::kHello: {
      LOCKSTEP_TRY_ASSIGN(message.body, read(in.hello()), "to gateway");
      return {};
    }
    case wire::ToGateway::kBeat:
      message.body = read(in.beat());
      return {};
    case wire::ToGateway::kProgress: {
      LOCKSTEP_TRY_ASSIGN(message.body, read(in.progress()), "to gateway");
      return {};
    }
    case wire::ToGateway::kDrained:
      message.body = DrainedMessage{};
      return {};
    case wire::ToGateway::BODY_NOT_SET:
      break;
  }
  return wrong("body", "none that is known");
}

// ---- Whole messages.

template <typename Wire, typename Message>
Bytes encode(const Message& message) {
  Wire out;
  out.set_version(kWireVersion);
  out.set_epoch(message.epoch);
  out.set_sequence(message.sequence);
  std::visit([&](const auto& body) { write(body, out); }, message.body);
  return serialize(out);
}

template <typename Wire, typename Message>
Result<Message> decode(ByteView bytes, std::size_t max_bytes) {
  if (bytes.size() > max_bytes) {
    return Error{ErrorCode::kCorrupt, "wire message: " + std::to_string(bytes.size()) +
                                          " bytes, at most " + std::to_string(max_bytes)};
  }
  Wire in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error{ErrorCode::kCorrupt, "wire message: no Protocol Buffers message"};
  }
  if (in.version() != kWireVersion) {
    return Error{ErrorCode::kCorrupt, "wire message: version " + std::to_string(in.version()) +
                                          ", this program speaks " + std::to_string(kWireVersion) +
                                          "; run the same release on both sides"};
  }
  Result<Message> result = Message{};
  Message& message = result.value();
  message.epoch = in.epoch();
  message.sequence = in.sequence();
  LOCKSTEP_TRY(read(in, message), "wire message");
  const Status valid = validate(message);
  if (!valid.ok()) return Error{ErrorCode::kCorrupt, "wire message: " + valid.error().message};
  return result;
}

}  // namespace

Bytes encode_wire(const ToReplica& message) { return encode<wire::ToReplica>(message); }
Bytes encode_wire(const ToGateway& message) { return encode<wire::ToGateway>(message); }

Result<ToReplica> decode_to_replica(ByteView bytes) {
  return decode<wire::ToReplica, ToReplica>(bytes, kMaxToReplicaBytes);
}

Result<ToGateway> decode_to_gateway(ByteView bytes) {
  return decode<wire::ToGateway, ToGateway>(bytes, kMaxToGatewayBytes);
}

}  // namespace lockstep
