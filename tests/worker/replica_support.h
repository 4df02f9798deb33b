// Replicas of random models that are small enough for a unit test.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sharding/import.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/scratch_directory.h"
#include "worker/leader.h"
#include "worker/local_replica.h"

namespace lockstep {

constexpr int kParts = 4;
constexpr std::uint32_t kVocab = 40;

// Four parts that share two key/value heads; the vocabulary has fewer panels than there are parts.
TinyLlama shape();

// Every store in a directory of its own below one that is removed at the end.
Store imported(const GgufWriter& model, int bits = 16);

// The store of the plain model; made once.
const Store& plain_store();

// A model in which one token, and no other, overflows in layer 1's feed-forward input: one channel
// of the residual stream is written by its embedding alone, and there the norm of that layer is
// huge.
constexpr std::uint32_t kOverflowingToken = 7;
GgufWriter overflowing_model();

// 64 KV blocks where the configuration says none.
std::unique_ptr<LocalReplica> start(const Store& store, int ranks, ReplicaConfig config = {});

Request request_of(std::uint32_t prompt_tokens, std::uint32_t tokens, float temperature = 0);

struct ReplicaAnswer {
  Completion completion;
  Status status;
};

// Runs until nothing is left.
std::map<SequenceId, Status> run(Leader& leader);

std::vector<ReplicaAnswer> answers(Leader& leader, const std::vector<Request>& requests);
std::vector<ReplicaAnswer> answers(LocalReplica& replica, const std::vector<Request>& requests);

// Tokens and traces.
void expect_equal(const ReplicaAnswer& got, const ReplicaAnswer& wanted, const std::string& what);

// Tokens 2 to 38 are the letters a to z and A to K, the last one is given; 0 and 1 are special, 1
// ends an answer.
Tokenizer letters(const std::string& last = "L");

std::string text_of(const Tokenizer& tokenizer, std::span<const std::uint32_t> ids);

}  // namespace lockstep
