// What a gateway and the leaders of its replicas say to each other: plain values, and their bytes
// (Protocol Buffers, base/wire.proto) with a version and bounded sizes. Knows no socket.
//
// Every message carries the epoch of the replica, its generation, and its number within that epoch.
// A gateway raises the epoch when it fences or finds a message missing; both sides drop what
// another generation says. A number that comes again is a duplicate; one that comes too early says
// that messages were lost: the replica says Hello again, the gateway gives it the next epoch
// unasked. A connection begins with a Hello, too: what comes before it is answered with Identify.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/digest.h"
#include "base/request_id.h"
#include "base/result.h"
#include "base/sampling.h"

namespace lockstep {

inline constexpr std::uint32_t kWireVersion = 1;
// Of an encoded message; larger ones are refused unread. A replica speaks of one step at a time.
inline constexpr std::size_t kMaxToReplicaBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxToGatewayBytes = std::size_t{1} << 20;

// What a valid message holds at most.
inline constexpr std::uint32_t kMaxWireChoices = 1U << 16;
inline constexpr std::uint32_t kMaxWireTokens = 1U << 20;  // Of a prompt, of a completion.
inline constexpr std::uint32_t kMaxWireTopLogprobs = 20;
inline constexpr std::size_t kMaxWireStops = 256;
inline constexpr std::size_t kMaxWireStopBytes = 64U << 10;  // Of all stop strings together.
inline constexpr std::size_t kMaxWireTextBytes = 256;        // Tenant, device, host.
inline constexpr std::size_t kMaxWireErrorBytes = 4096;      // encode_wire cuts longer ones.
inline constexpr std::size_t kMaxWireRanks = 4096;
inline constexpr std::uint32_t kMaxLeaseMs = 3'600'000;
inline constexpr std::uint32_t kMinBeatMs = 10;

// One of a request's choices: the unit that runs on a replica.
struct ChoiceKey {
  RequestId request;
  std::uint32_t choice = 0;
  auto operator<=>(const ChoiceKey&) const = default;
};

struct TokenLogprob {
  std::uint32_t token = 0;
  float logprob = 0;  // Natural logarithm; of the raw logits' softmax.
  bool operator==(const TokenLogprob&) const = default;
};

// A completion token and what is recorded of it. A function of request and position alone.
struct CompletionToken {
  std::uint32_t token = 0;
  Digest logits_digest;           // 0 with TraceKind::kTokens.
  float logprob = 0;              // When log probabilities were asked for.
  std::vector<TokenLogprob> top;  // As many as were asked for, best first.
  bool operator==(const CompletionToken&) const = default;
};

// How a choice ended: with a reason, or with an error.
struct ChoiceEnd {
  Status status;
  FinishReason reason = FinishReason::kLength;
  std::uint32_t num_tokens = 0;  // Completion tokens in all.
  std::uint32_t cached_tokens = 0;
  std::uint32_t computed_tokens = 0;
  std::uint32_t steps = 0;
};

// ---- Gateway to replica.

// The answer to Hello: from now on the replica is this generation. What it ran before is dropped.
struct WelcomeMessage {
  std::uint64_t epoch = 0;     // The same as that of its ToReplica.
  std::uint32_t lease_ms = 0;  // Without a word from the gateway for this long the replica exits.
  std::uint32_t beat_ms = 0;   // Between two of its own beats.
};

struct AssignMessage {
  ChoiceKey key;
  std::uint32_t attempt = 0;  // Counts the assignments of this choice; echoed with every result.
  std::uint8_t priority = 0;  // PriorityClass.
  std::string tenant;         // Salts the prefix cache.
  std::vector<std::uint32_t> prompt;
  SamplingParams sampling;
  std::int32_t num_top_logprobs = -1;      // -1: no log probabilities; 0 to 20.
  std::vector<CompletionToken> delivered;  // The answer so far; it goes on behind them.
};

struct CancelMessage {
  ChoiceKey key;
  std::uint32_t attempt = 0;
};

// Renews the lease.
struct LeaseMessage {
  std::uint64_t sequence = 0;
};

// Take nothing new, finish what runs, then exit 0.
struct DrainMessage {};

// Say Hello: the connection is new to the gateway. Of any epoch.
struct IdentifyMessage {};

struct ToReplica {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;  // 0: Welcome, Identify; then 1, 2, ... within the epoch.
  std::variant<WelcomeMessage, AssignMessage, CancelMessage, LeaseMessage, DrainMessage,
               IdentifyMessage>
      body;
};

// ---- Replica to gateway.

// A process of the replica, so that its death can be seen and it can be killed.
struct RankProcess {
  std::string host;
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;  // /proc/PID/stat, field 22: a pid alone may be another's by now.
};

struct HelloMessage {
  Digest model_id;
  std::uint32_t numerics_version = 0;
  std::string device;
  std::uint32_t context_tokens = 0;
  std::uint32_t max_sequences = 0;  // Credits: choices that may be assigned at once.
  std::uint32_t num_blocks = 0;
  std::vector<RankProcess> ranks;  // By rank.
};

struct BeatMessage {
  std::uint64_t sequence = 0;     // Of the last LeaseMessage that came.
  std::uint64_t steps = 0;        // Done so far.
  std::uint32_t step_age_ms = 0;  // Of the step in flight; 0 between two steps.
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;
  std::uint32_t blocks_free = 0;
  std::uint32_t blocks_cached = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t prompt_tokens = 0;        // Computed so far.
  std::uint64_t cached_tokens = 0;        // Taken from the prefix cache so far.
  std::uint64_t completion_tokens = 0;    // Sampled so far.
  std::uint32_t oldest_rank_beat_ms = 0;  // Since the quietest rank of another host was heard.
  std::uint32_t stalled_ms = 0;           // Since a rank of this host worked on that step.
};

// New tokens of one choice, and its end.
struct ChoiceProgress {
  ChoiceKey key;
  std::uint32_t attempt = 0;
  std::uint32_t first = 0;  // Index of tokens[0] in the completion.
  std::vector<CompletionToken> tokens;
  std::optional<ChoiceEnd> end;
};

struct ProgressMessage {
  std::vector<ChoiceProgress> choices;
};

// The drain is over: nothing runs here any more.
struct DrainedMessage {};

struct ToGateway {
  std::uint64_t epoch = 0;     // 0 in a Hello.
  std::uint64_t sequence = 0;  // 0: Hello; then 1, 2, ... within the epoch.
  std::variant<HelloMessage, BeatMessage, ProgressMessage, DrainedMessage> body;
};

// Whether the other side will take it: kInvalidArgument names the field.
Status validate(const ToReplica& message);
Status validate(const ToGateway& message);

// The bytes of a valid message, which can still be more than the limit above.
Bytes encode_wire(const ToReplica& message);
Bytes encode_wire(const ToGateway& message);

// A valid message, or kCorrupt with the field. What decodes encodes to a message that decodes to
// an equal value.
Result<ToReplica> decode_to_replica(ByteView bytes);
Result<ToGateway> decode_to_gateway(ByteView bytes);

}  // namespace lockstep
