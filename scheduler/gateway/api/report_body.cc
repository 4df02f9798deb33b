#include "scheduler/gateway/api/report_body.h"

#include <cstdio>

#include "sharding/chat_template.h"

namespace lockstep {
namespace {

struct ReplicaSums {
  std::uint64_t preemptions = 0, cached_tokens = 0, prompt_tokens = 0, restarts = 0, ready = 0;
  std::uint64_t blocks = 0, blocks_used = 0;

  double cache_usage() const {
    return blocks == 0 ? 0 : static_cast<double>(blocks_used) / static_cast<double>(blocks);
  }
};

// Blocks that sequences refer to are in use; cached ones can be had, as in vLLM.
ReplicaSums sum_replicas(const GatewayReport& report) {
  ReplicaSums sums;
  for (const ReplicaReport& replica : report.replicas) {
    sums.preemptions += replica.beat.preemptions;
    sums.cached_tokens += replica.beat.cached_tokens;
    sums.prompt_tokens += replica.beat.prompt_tokens;
    sums.restarts += replica.restarts;
    if (replica.state != "ready") continue;
    ++sums.ready;
    sums.blocks += replica.num_blocks;
    const std::uint64_t unused =
        std::uint64_t{replica.beat.blocks_free} + replica.beat.blocks_cached;
    if (unused < replica.num_blocks) sums.blocks_used += replica.num_blocks - unused;
  }
  return sums;
}

std::string escape_label(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

class MetricsText {
 public:
  explicit MetricsText(const std::string& model)
      : labels_("model_name=\"" + escape_label(model) + "\"") {}

  void gauge(const std::string& name, std::uint64_t value) {
    family(name, "gauge");
    sample(name, labels_, value);
  }
  // In [0, 1].
  void share(const std::string& name, double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6f", value);
    family(name, "gauge");
    text_ += name + "{" + labels_ + "} " + text + "\n";
  }
  void counter(const std::string& name, std::uint64_t value) {
    family(name, "counter");
    sample(name + "_total", labels_, value);
  }
  void histogram(const std::string& name, const LatencyHistogram& values) {
    family(name, "histogram");
    values.append_samples(name, labels_, text_);
  }
  void family(const std::string& name, const char* type) {
    text_ += "# TYPE " + name + " " + type + "\n";
  }
  void sample(const std::string& name, const std::string& labels, std::uint64_t value) {
    text_ += name + "{" + labels + "} " + std::to_string(value) + "\n";
  }
  const std::string& labels() const { return labels_; }
  std::string take() { return text_ + "# EOF\n"; }

 private:
  std::string labels_;
  std::string text_;
};

void append_replicas(const GatewayReport& report, MetricsText& text) {
  const auto labels = [&](const ReplicaReport& replica) {
    return text.labels() + ",replica=\"" + escape_label(replica.name) + "\"";
  };
  text.family("lockstep_replica_ready", "gauge");
  for (const auto& one : report.replicas) {
    text.sample("lockstep_replica_ready", labels(one), one.state == "ready" ? 1 : 0);
  }
  text.family("lockstep_replica_running", "gauge");
  for (const auto& one : report.replicas) {
    text.sample("lockstep_replica_running", labels(one), one.beat.running);
  }
  text.family("lockstep_replica_blocks_free", "gauge");
  for (const auto& one : report.replicas) {
    text.sample("lockstep_replica_blocks_free", labels(one), one.beat.blocks_free);
  }
  text.family("lockstep_replica_epoch", "gauge");
  for (const auto& one : report.replicas) {
    text.sample("lockstep_replica_epoch", labels(one), one.epoch);
  }
}

OrderedJson replica_json(const ReplicaReport& replica) {
  OrderedJson json;
  json["name"] = replica.name;
  json["state"] = replica.state;
  json["epoch"] = replica.epoch;
  json["ranks"] = replica.ranks;
  json["device"] = replica.device;
  json["assigned"] = replica.assigned;
  json["credits"] = replica.credits;
  json["last_beat_ms_ago"] = replica.last_beat_ms_ago;
  json["restarts"] = replica.restarts;
  json["steps"] = replica.beat.steps;
  json["running"] = replica.beat.running;
  json["waiting"] = replica.beat.waiting;
  json["blocks_free"] = replica.beat.blocks_free;
  json["blocks_cached"] = replica.beat.blocks_cached;
  json["preemptions"] = replica.beat.preemptions;
  json["cached_tokens"] = replica.beat.cached_tokens;
  json["completion_tokens"] = replica.beat.completion_tokens;
  return json;
}

}  // namespace

std::string metrics_body(const GatewayReport& report, const ClientLatencies& latencies,
                         const HttpCounts& http) {
  const ReplicaSums sums = sum_replicas(report);
  MetricsText text(report.model_name);
  for (const char* prefix : {"vllm:", "lockstep_"}) {
    const std::string p = prefix;
    text.gauge(p + "num_requests_running", report.running);
    text.gauge(p + "num_requests_waiting", report.queued);
    text.share(p + "kv_cache_usage_perc", sums.cache_usage());
    text.counter(p + "num_preemptions", sums.preemptions);
    text.counter(p + "prompt_tokens", report.prompt_tokens_total);
    text.counter(p + "generation_tokens", report.completion_tokens_total);
    text.counter(p + "prefix_cache_queries", sums.prompt_tokens + sums.cached_tokens);
    text.counter(p + "prefix_cache_hits", sums.cached_tokens);
    text.counter(p + "request_success", report.done_total);
    text.histogram(p + "time_to_first_token_seconds", latencies.time_to_first_token);
    text.histogram(p + "inter_token_latency_seconds", latencies.inter_token);
    text.histogram(p + "time_per_output_token_seconds", latencies.inter_token);
    text.histogram(p + "e2e_request_latency_seconds", latencies.request);
  }
  text.counter("lockstep_requests_accepted", report.accepted_total);
  text.counter("lockstep_requests_failed", report.failed_total);
  text.counter("lockstep_requests_cancelled", report.cancelled_total);
  text.counter("lockstep_choices_moved", report.moved_total);
  text.counter("lockstep_replica_restarts", sums.restarts);
  text.gauge("lockstep_replicas_ready", sums.ready);
  text.gauge("lockstep_http_connections", http.connections);
  text.counter("lockstep_http_requests", http.requests);
  text.counter("lockstep_http_requests_refused", http.refused);
  append_replicas(report, text);
  return text.take();
}

std::string status_body(const GatewayReport& report, const ClientLatencies& latencies,
                        std::int64_t unix_ms) {
  OrderedJson json;
  json["unix_ms"] = unix_ms;
  json["model"] = report.model_name;
  json["model_id"] = report.model_id.hex();
  json["context_tokens"] = report.context_tokens;
  json["ready"] = report.ready;
  json["queued"] = report.queued;
  json["running"] = report.running;
  json["accepted_total"] = report.accepted_total;
  json["done_total"] = report.done_total;
  json["failed_total"] = report.failed_total;
  json["cancelled_total"] = report.cancelled_total;
  json["moved_total"] = report.moved_total;
  json["prompt_tokens_total"] = report.prompt_tokens_total;
  json["completion_tokens_total"] = report.completion_tokens_total;
  json["time_to_first_token_s"]["p50"] = latencies.time_to_first_token.quantile(0.5);
  json["time_to_first_token_s"]["p99"] = latencies.time_to_first_token.quantile(0.99);
  json["inter_token_s"]["p50"] = latencies.inter_token.quantile(0.5);
  json["inter_token_s"]["p99"] = latencies.inter_token.quantile(0.99);
  json["replicas"] = OrderedJson::array();
  for (const ReplicaReport& replica : report.replicas) {
    json["replicas"].push_back(replica_json(replica));
  }
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace lockstep
