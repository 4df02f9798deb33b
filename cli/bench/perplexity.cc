#include "cli/bench/perplexity.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "base/file.h"
#include "cli/generation.h"
#include "cli/output.h"
#include "sharding/tokenizer.h"
#include "worker/leader.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{256} << 20;

// Negative log-likelihood of `token`, in binary64.
double surprise(std::span<const float> logits, std::uint32_t token) {
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
  return max + std::log(sum) - static_cast<double>(logits[token]);
}

Result<std::vector<TokenId>> read_tokens(const PerplexityOptions& options, const Store& store) {
  if (options.text.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--text: expected a file"};
  }
  LOCKSTEP_TRY_ASSIGN(const std::string text, read_file(options.text, kMaxTextBytes), "--text");
  LOCKSTEP_TRY_ASSIGN(const std::string blob, store.read_blob(TensorKind::kTokenizer), "tokenizer");
  LOCKSTEP_TRY_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_json(blob), "tokenizer");
  std::vector<TokenId> ids = tokenizer.encode(text);
  const std::size_t needed =
      static_cast<std::size_t>(options.window) * static_cast<std::size_t>(options.windows);
  if (ids.size() < needed) {
    return Error{ErrorCode::kInvalidArgument, "--text: " + std::to_string(needed) +
                                                  " tokens are asked for, the text has " +
                                                  std::to_string(ids.size())};
  }
  ids.resize(needed);
  return ids;
}

// Mean negative log-likelihood of one window.
Result<double> score_window(Leader& leader, std::span<const TokenId> window, std::ofstream& dump) {
  double total = 0;
  Request request;
  request.prompt.assign(window.begin(), window.end());
  request.score = [&](std::uint32_t position, std::span<const float> logits) {
    if (position + 1 >= window.size()) return;
    total += surprise(logits, window[position + 1]);
    if (dump.is_open()) {
      dump.write(reinterpret_cast<const char*>(logits.data()),
                 static_cast<std::streamsize>(logits.size_bytes()));
    }
  };
  LOCKSTEP_TRY_ASSIGN(const SequenceId id, leader.add(std::move(request)), "window");
  LOCKSTEP_TRY(run_until_idle(leader), "window");
  (void)leader.take(id);
  return total / static_cast<double>(window.size() - 1);
}

Status print_result(const std::vector<double>& losses, const PerplexityOptions& options,
                    bool json) {
  const double mean =
      std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
  if (!json) {
    char line[128];
    (void)std::snprintf(line, sizeof line, "perplexity %.4f over %zu windows of %d tokens\n",
                        std::exp(mean), losses.size(), options.window);
    return print_text(line);
  }
  OrderedJson result;
  result["perplexity"] = std::exp(mean);
  result["tokens"] = losses.size() * (static_cast<std::size_t>(options.window) - 1);
  result["window"] = options.window;
  result["windows"] = OrderedJson::array();
  for (const double loss : losses) result["windows"].push_back({{"perplexity", std::exp(loss)}});
  return print_json(result);
}

}  // namespace

Result<int> run_perplexity(const PerplexityOptions& options, bool json) {
  ReplicaOptions replica = options.replica;
  replica.context_tokens =
      std::max(replica.context_tokens, static_cast<std::uint32_t>(options.window));
  // Logits of every token of a chunk are held at once.
  replica.chunk_tokens = std::min(replica.chunk_tokens, 64);
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(replica), "perplexity");
  Result<std::vector<TokenId>> tokens = session->leads()
                                            ? read_tokens(options, session->store())
                                            : Result<std::vector<TokenId>>(std::vector<TokenId>{});
  LOCKSTEP_TRY(session->load(tokens.ok() ? Status() : Status(tokens.error())), "perplexity");
  if (!session->leads()) {
    LOCKSTEP_TRY(session->follow(), "rank");
    return 0;
  }
  std::ofstream dump;
  if (!options.dump_logits.empty()) {
    dump.open(options.dump_logits, std::ios::binary | std::ios::trunc);
    if (!dump) return Error{ErrorCode::kIo, "--dump-logits: cannot create " + options.dump_logits};
  }
  Leader leader(session->rank(), nullptr);
  std::vector<double> losses;
  const auto size = static_cast<std::size_t>(options.window);
  for (std::size_t begin = 0; begin < tokens.value().size(); begin += size) {
    LOCKSTEP_TRY_ASSIGN(const double loss,
                        score_window(leader, std::span(tokens.value()).subspan(begin, size), dump),
                        "perplexity");
    losses.push_back(loss);
    if (!json) {
      std::fprintf(stderr, "window %zu/%d  perplexity %.4f\n", losses.size(), options.windows,
                   std::exp(loss));
    }
  }
  if (dump.is_open() && !dump.flush()) {
    return Error{ErrorCode::kIo, "--dump-logits: cannot write " + options.dump_logits};
  }
  LOCKSTEP_TRY(print_result(losses, options, json), "result");
  return 0;
}

}  // namespace lockstep
