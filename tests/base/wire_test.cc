#include "base/wire.h"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

RequestId request_id(std::uint8_t first) {
  RequestId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(first + i);
  }
  return id;
}

Digest digest(std::uint8_t fill) {
  Digest value;
  value.bytes.fill(fill);
  return value;
}

AssignMessage assign() {
  AssignMessage message;
  message.key = {request_id(1), 2};
  message.attempt = 3;
  message.priority = 1;
  message.tenant = "tenant";
  message.prompt = {1, 300, 49151};
  message.sampling.temperature = 0.5F;
  message.sampling.top_k = 40;
  message.sampling.top_p = 0.25F;
  message.sampling.min_p = 0.125F;
  message.sampling.repetition_penalty = 1.5F;
  message.sampling.frequency_penalty = -2.0F;
  message.sampling.presence_penalty = 2.0F;
  message.sampling.seed = 0xFFFFFFFFFFFFFFFF;
  message.sampling.max_completion_tokens = 7;
  message.sampling.stop = {"\n\n", "end"};
  message.sampling.logit_bias = {{5, -100.0F}, {6, 1.0F}};
  message.sampling.ignore_eos = true;
  message.sampling.context_limit = 4096;
  message.sampling.choice_index = 2;
  message.sampling.trace = TraceKind::kTokens;
  message.num_top_logprobs = 2;
  message.delivered = {{11, digest(7), -0.5F, {{11, -0.5F}, {12, -1.5F}}},
                       {12, digest(8), -0.25F, {{12, -0.25F}}}};
  return message;
}

HelloMessage hello() {
  HelloMessage message;
  message.model_id = digest(9);
  message.numerics_version = 1;
  message.device = "cpu:avx2";
  message.context_tokens = 8192;
  message.max_sequences = 64;
  message.num_blocks = 512;
  message.ranks = {{"node1", 4711, 123456789}, {"node2", 1, 0}};
  return message;
}

ProgressMessage progress() {
  ProgressMessage message;
  message.choices.push_back({{request_id(1), 0}, 1, 5, {{42, digest(1), 0.0F, {}}}, std::nullopt});
  ChoiceEnd end;
  end.reason = FinishReason::kStop;
  end.num_tokens = 6;
  end.cached_tokens = 16;
  end.computed_tokens = 20;
  end.steps = 7;
  message.choices.push_back({{request_id(2), 1}, 2, 0, {}, end});
  end.status = Error{ErrorCode::kCorrupt, "a value is NaN"};
  message.choices.push_back({{request_id(3), 0}, 1, 0, {}, end});
  return message;
}

ToReplica to_replica(auto body) { return {77, 5, std::move(body)}; }
ToGateway to_gateway(auto body) { return {77, 5, std::move(body)}; }

std::string error_of(const auto& result) { return result.ok() ? "" : result.error().message; }

// The fields of the plain values have no equality as a whole; equal bytes of equal shape do.
TEST(WireRoundTrip, AssignKeepsEveryField) {
  const AssignMessage sent = assign();

  const auto received = decode_to_replica(encode_wire(to_replica(sent)));

  ASSERT_TRUE(received.ok()) << error_of(received);
  EXPECT_EQ(received.value().epoch, 77U);
  EXPECT_EQ(received.value().sequence, 5U);
  const auto& got = std::get<AssignMessage>(received.value().body);
  EXPECT_EQ(got.key, sent.key);
  EXPECT_EQ(got.attempt, sent.attempt);
  EXPECT_EQ(got.priority, sent.priority);
  EXPECT_EQ(got.tenant, sent.tenant);
  EXPECT_EQ(got.prompt, sent.prompt);
  EXPECT_EQ(got.num_top_logprobs, sent.num_top_logprobs);
  EXPECT_EQ(got.delivered, sent.delivered);
  EXPECT_EQ(got.sampling.temperature, sent.sampling.temperature);
  EXPECT_EQ(got.sampling.top_k, sent.sampling.top_k);
  EXPECT_EQ(got.sampling.top_p, sent.sampling.top_p);
  EXPECT_EQ(got.sampling.min_p, sent.sampling.min_p);
  EXPECT_EQ(got.sampling.repetition_penalty, sent.sampling.repetition_penalty);
  EXPECT_EQ(got.sampling.frequency_penalty, sent.sampling.frequency_penalty);
  EXPECT_EQ(got.sampling.presence_penalty, sent.sampling.presence_penalty);
  EXPECT_EQ(got.sampling.seed, sent.sampling.seed);
  EXPECT_EQ(got.sampling.max_completion_tokens, sent.sampling.max_completion_tokens);
  EXPECT_EQ(got.sampling.stop, sent.sampling.stop);
  EXPECT_EQ(got.sampling.logit_bias, sent.sampling.logit_bias);
  EXPECT_EQ(got.sampling.ignore_eos, sent.sampling.ignore_eos);
  EXPECT_EQ(got.sampling.context_limit, sent.sampling.context_limit);
  EXPECT_EQ(got.sampling.choice_index, sent.sampling.choice_index);
  EXPECT_EQ(got.sampling.trace, sent.sampling.trace);
}

TEST(WireRoundTrip, SmallMessagesToTheReplicaKeepTheirFields) {
  const auto welcome = decode_to_replica(encode_wire(to_replica(WelcomeMessage{77, 10'000, 1000})));
  ASSERT_TRUE(welcome.ok()) << error_of(welcome);
  EXPECT_EQ(std::get<WelcomeMessage>(welcome.value().body).lease_ms, 10'000U);
  EXPECT_EQ(std::get<WelcomeMessage>(welcome.value().body).beat_ms, 1000U);

  const CancelMessage sent{{request_id(9), 4}, 5};
  const auto cancel = decode_to_replica(encode_wire(to_replica(sent)));
  ASSERT_TRUE(cancel.ok()) << error_of(cancel);
  EXPECT_EQ(std::get<CancelMessage>(cancel.value().body).key, sent.key);
  EXPECT_EQ(std::get<CancelMessage>(cancel.value().body).attempt, 5U);

  const auto lease = decode_to_replica(encode_wire(to_replica(LeaseMessage{1ULL << 40})));
  ASSERT_TRUE(lease.ok()) << error_of(lease);
  EXPECT_EQ(std::get<LeaseMessage>(lease.value().body).sequence, 1ULL << 40);

  const auto drain = decode_to_replica(encode_wire(to_replica(DrainMessage{})));
  ASSERT_TRUE(drain.ok()) << error_of(drain);
  EXPECT_TRUE(std::holds_alternative<DrainMessage>(drain.value().body));

  const auto identify = decode_to_replica(encode_wire(to_replica(IdentifyMessage{})));
  ASSERT_TRUE(identify.ok()) << error_of(identify);
  EXPECT_TRUE(std::holds_alternative<IdentifyMessage>(identify.value().body));
}

TEST(WireRoundTrip, HelloKeepsEveryField) {
  const HelloMessage sent = hello();

  const auto received = decode_to_gateway(encode_wire(to_gateway(sent)));

  ASSERT_TRUE(received.ok()) << error_of(received);
  const auto& got = std::get<HelloMessage>(received.value().body);
  EXPECT_EQ(got.model_id, sent.model_id);
  EXPECT_EQ(got.numerics_version, sent.numerics_version);
  EXPECT_EQ(got.device, sent.device);
  EXPECT_EQ(got.context_tokens, sent.context_tokens);
  EXPECT_EQ(got.max_sequences, sent.max_sequences);
  EXPECT_EQ(got.num_blocks, sent.num_blocks);
  ASSERT_EQ(got.ranks.size(), 2U);
  EXPECT_EQ(got.ranks[0].host, "node1");
  EXPECT_EQ(got.ranks[0].pid, 4711);
  EXPECT_EQ(got.ranks[0].start_ticks, 123456789U);
  EXPECT_EQ(got.ranks[1].host, "node2");
}

TEST(WireRoundTrip, BeatKeepsEveryField) {
  const BeatMessage sent{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

  const auto received = decode_to_gateway(encode_wire(to_gateway(sent)));

  ASSERT_TRUE(received.ok()) << error_of(received);
  const auto& got = std::get<BeatMessage>(received.value().body);
  const std::vector<std::uint64_t> fields{
      got.sequence,      got.steps,         got.step_age_ms,       got.running,
      got.waiting,       got.blocks_free,   got.blocks_cached,     got.preemptions,
      got.prompt_tokens, got.cached_tokens, got.completion_tokens, got.oldest_rank_beat_ms,
      got.stalled_ms};
  EXPECT_EQ(fields, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}));
}

TEST(WireRoundTrip, ProgressKeepsTokensAndEnds) {
  const ProgressMessage sent = progress();

  const auto received = decode_to_gateway(encode_wire(to_gateway(sent)));

  ASSERT_TRUE(received.ok()) << error_of(received);
  const auto& got = std::get<ProgressMessage>(received.value().body);
  ASSERT_EQ(got.choices.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(got.choices[i].key, sent.choices[i].key);
    EXPECT_EQ(got.choices[i].attempt, sent.choices[i].attempt);
    EXPECT_EQ(got.choices[i].first, sent.choices[i].first);
    EXPECT_EQ(got.choices[i].tokens, sent.choices[i].tokens);
    EXPECT_EQ(got.choices[i].end.has_value(), sent.choices[i].end.has_value());
  }
  EXPECT_EQ(got.choices[1].end->reason, FinishReason::kStop);
  EXPECT_EQ(got.choices[1].end->num_tokens, 6U);
  EXPECT_EQ(got.choices[1].end->cached_tokens, 16U);
  EXPECT_EQ(got.choices[1].end->computed_tokens, 20U);
  EXPECT_EQ(got.choices[1].end->steps, 7U);
  EXPECT_TRUE(got.choices[1].end->status.ok());
  EXPECT_EQ(got.choices[2].end->status.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(got.choices[2].end->status.error().message, "a value is NaN");
}

// By hand, after the encoding of Protocol Buffers: tag = field << 3 | type, then varint, or length
// and bytes.
TEST(WireEncode, GivesTheBytesOfTheTable) {
  EXPECT_EQ(to_hex(encode_wire(ToReplica{5, 6, LeaseMessage{300}})),
            "0801"      // version 1
            "1005"      // epoch 5
            "1806"      // sequence 6
            "3a03"      // lease, 3 bytes
            "08ac02");  // sequence 300
  EXPECT_EQ(to_hex(encode_wire(ToReplica{0, 0, IdentifyMessage{}})), "08014a00");
  EXPECT_EQ(to_hex(encode_wire(ToReplica{1, 0, WelcomeMessage{1, 10'000, 1000}})),
            "0801100122"
            "06"
            "08904e"
            "10e807");
  EXPECT_EQ(to_hex(encode_wire(ToReplica{1, 0, CancelMessage{{request_id(1), 2}, 3}})),
            "0801100132"
            "18"
            "0a16"
            "0a10"
            "0102030405060708090a0b0c0d0e0f10"
            "1002"
            "1803");
  EXPECT_EQ(to_hex(encode_wire(ToGateway{1, 0, DrainedMessage{}})), "080110016a00");
}

TEST(WireEncode, CutsLongErrors) {
  ProgressMessage message = progress();
  message.choices[2].end->status = Error{ErrorCode::kInternal, std::string(10'000, 'x')};

  const auto received = decode_to_gateway(encode_wire(to_gateway(message)));

  ASSERT_TRUE(received.ok()) << error_of(received);
  const auto& got = std::get<ProgressMessage>(received.value().body);
  EXPECT_EQ(got.choices[2].end->status.error().message.size(), kMaxWireErrorBytes);
}

TEST(WireDecode, RefusesOtherVersions) {
  Bytes bytes = encode_wire(ToReplica{5, 6, LeaseMessage{300}});
  bytes[1] = 2;
  EXPECT_NE(error_of(decode_to_replica(bytes)).find("version 2"), std::string::npos);
  EXPECT_NE(error_of(decode_to_gateway(Bytes{})).find("version 0"), std::string::npos);
}

TEST(WireDecode, RefusesWhatIsNoMessage) {
  EXPECT_FALSE(decode_to_replica(Bytes{0xFF, 0xFF}).ok());
  // A version and an epoch, and no body; a body of the other direction.
  EXPECT_FALSE(decode_to_replica(Bytes{0x08, 0x01, 0x10, 0x05}).ok());
  EXPECT_FALSE(decode_to_gateway(encode_wire(ToReplica{5, 6, LeaseMessage{300}})).ok());
}

TEST(WireDecode, RefusesEveryCutAndIsNotConfusedByAnyFlippedBit) {
  const Bytes whole = encode_wire(to_replica(assign()));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(decode_to_replica(ByteView(whole).first(i)).ok()) << i;
    for (int bit = 0; bit < 8; ++bit) {
      Bytes bytes = whole;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1 << bit));
      const auto decoded = decode_to_replica(bytes);
      if (!decoded.ok()) continue;
      EXPECT_TRUE(validate(decoded.value()).ok());
    }
  }
}

TEST(WireDecode, RefusesLargeMessagesUnread) {
  EXPECT_NE(error_of(decode_to_gateway(Bytes(kMaxToGatewayBytes + 1))).find("at most"),
            std::string::npos);
  EXPECT_NE(error_of(decode_to_replica(Bytes(kMaxToReplicaBytes + 1))).find("at most"),
            std::string::npos);
}

// Both sides refuse what is out of range, and name the field.
template <typename Body, typename Change>
void expect_refused(Body body, const std::string& field, Change change) {
  change(body);
  Status valid;
  std::string refusal;
  if constexpr (std::is_constructible_v<decltype(ToReplica::body), Body>) {
    valid = validate(to_replica(body));
    refusal = error_of(decode_to_replica(encode_wire(to_replica(body))));
  } else {
    valid = validate(to_gateway(body));
    refusal = error_of(decode_to_gateway(encode_wire(to_gateway(body))));
  }
  EXPECT_NE(error_of(valid).find(field), std::string::npos) << field << ": " << error_of(valid);
  EXPECT_NE(refusal.find(field), std::string::npos) << field << ": " << refusal;
}

TEST(WireValidate, NamesWhatIsWrongWithAnAssignment) {
  const AssignMessage good = assign();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(validate(to_replica(good)).ok());
  expect_refused(good, "request", [](auto& m) { m.key.request = {}; });
  expect_refused(good, "choice", [](auto& m) { m.key.choice = kMaxWireChoices; });
  expect_refused(good, "priority", [](auto& m) { m.priority = 3; });
  expect_refused(good, "tenant", [](auto& m) { m.tenant = std::string(257, 't'); });
  expect_refused(good, "prompt", [](auto& m) { m.prompt.clear(); });
  expect_refused(good, "prompt", [](auto& m) { m.prompt.resize(kMaxWireTokens + 1); });
  expect_refused(good, "num_top_logprobs", [](auto& m) { m.num_top_logprobs = 21; });
  expect_refused(good, "num_top_logprobs", [](auto& m) { m.num_top_logprobs = -2; });
  expect_refused(good, "temperature", [&](auto& m) { m.sampling.temperature = nan; });
  expect_refused(good, "temperature", [](auto& m) { m.sampling.temperature = -1.0F; });
  expect_refused(good, "top_p", [](auto& m) { m.sampling.top_p = 0.0F; });
  expect_refused(good, "min_p", [](auto& m) { m.sampling.min_p = 1.5F; });
  expect_refused(good, "repetition_penalty", [](auto& m) { m.sampling.repetition_penalty = 0; });
  expect_refused(good, "frequency", [&](auto& m) { m.sampling.frequency_penalty = infinity; });
  expect_refused(good, "presence", [&](auto& m) { m.sampling.presence_penalty = nan; });
  expect_refused(good, "max_completion", [](auto& m) { m.sampling.max_completion_tokens = 0; });
  expect_refused(good, "stop", [](auto& m) { m.sampling.stop = {""}; });
  expect_refused(good, "stop", [](auto& m) { m.sampling.stop = {std::string(65'537, 's')}; });
  expect_refused(good, "stop", [](auto& m) { m.sampling.stop.resize(257, "s"); });
  expect_refused(good, "logit_bias", [](auto& m) { m.sampling.logit_bias = {{6, 1}, {5, 1}}; });
  expect_refused(good, "logit_bias", [&](auto& m) { m.sampling.logit_bias = {{6, nan}}; });
  expect_refused(good, "logprob", [&](auto& m) { m.delivered[0].logprob = nan; });
  expect_refused(good, "logprob", [&](auto& m) { m.delivered[1].top[0].logprob = infinity; });
  expect_refused(good, "top", [](auto& m) { m.delivered[0].top.resize(21); });
}

TEST(WireValidate, NamesWhatIsWrongWithTheRest) {
  expect_refused(WelcomeMessage{77, 1000, 5}, "beat_ms", [](auto&) {});
  expect_refused(WelcomeMessage{77, 1000, 1001}, "beat_ms", [](auto&) {});
  expect_refused(WelcomeMessage{77, kMaxLeaseMs + 1, 1000}, "lease_ms", [](auto&) {});
  EXPECT_NE(error_of(validate(to_replica(WelcomeMessage{76, 1000, 100}))).find("epoch"),
            std::string::npos);
  expect_refused(CancelMessage{}, "request", [](auto&) {});
  expect_refused(hello(), "model_id", [](auto& m) { m.model_id = {}; });
  expect_refused(hello(), "device", [](auto& m) { m.device = std::string(257, 'd'); });
  expect_refused(hello(), "context_tokens", [](auto& m) { m.context_tokens = 0; });
  expect_refused(hello(), "max_sequences", [](auto& m) { m.max_sequences = 0; });
  expect_refused(hello(), "ranks", [](auto& m) { m.ranks.clear(); });
  expect_refused(hello(), "host", [](auto& m) { m.ranks[0].host = std::string(257, 'h'); });
  expect_refused(hello(), "pid", [](auto& m) { m.ranks[1].pid = 0; });
  expect_refused(progress(), "request", [](auto& m) { m.choices[1].key.request = {}; });
  expect_refused(progress(), "first", [](auto& m) { m.choices[0].first = kMaxWireTokens; });
  expect_refused(progress(), "num_tokens",
                 [](auto& m) { m.choices[1].end->num_tokens = kMaxWireTokens + 1; });
}

}  // namespace
}  // namespace lockstep
