#include "scheduler/gateway/report.h"

namespace lockstep {

std::shared_ptr<const GatewayReport> make_report(const ModelText& model,
                                                 const Dispatcher& dispatcher,
                                                 const ReplicaPool& pool, Now now) {
  auto report = std::make_shared<GatewayReport>();
  report->model_name = model.identity().name;
  report->model_id = model.identity().model_id;
  report->context_tokens = model.identity().context_tokens;
  report->ready = dispatcher.any_ready();
  for (const ReplicaId id : pool.ids()) {
    const ReplicaPool::View life = pool.view(id);
    ReplicaReport replica;
    replica.name = "replica-" + std::to_string(static_cast<std::uint32_t>(id));
    replica.state = life.state;
    replica.restarts = life.restarts;
    if (const auto view = dispatcher.replica(id)) {
      replica.epoch = view->epoch;
      replica.ranks = static_cast<std::uint32_t>(view->hello.ranks.size());
      replica.device = view->hello.device;
      replica.assigned = view->assigned;
      replica.credits = view->hello.max_sequences;
      replica.num_blocks = view->hello.num_blocks;
      replica.last_beat_ms_ago = now.mono_ms - view->last_heard_ms;
      replica.beat = view->beat;
    }
    report->replicas.push_back(std::move(replica));
  }
  report->queued = dispatcher.num_queued();
  report->running = dispatcher.num_running();
  const Dispatcher::Counts& counts = dispatcher.counts();
  report->accepted_total = counts.accepted;
  report->done_total = counts.done;
  report->failed_total = counts.failed;
  report->cancelled_total = counts.cancelled + counts.expired;
  report->moved_total = counts.moved;
  report->prompt_tokens_total = counts.prompt_tokens;
  report->completion_tokens_total = counts.completion_tokens;
  return report;
}

}  // namespace lockstep
