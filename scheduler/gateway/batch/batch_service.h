// Batches behind their interface: carries out what the runner decides, with the store, the job
// queue and the files. Lives on the router's thread; reads and writes files on one of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/batch_runner.h"
#include "scheduler/gateway/batch/batch_disk.h"
#include "scheduler/gateway/batch_backend.h"
#include "scheduler/gateway/service.h"
#include "scheduler/gateway/task_thread.h"

namespace lockstep {

class BatchService final : public BatchBackend {
 public:
  // What these point to outlives it.
  struct Parts {
    const StateDirectory* directory = nullptr;
    JobStore* jobs = nullptr;
    BatchStore* store = nullptr;
    GatewayService* service = nullptr;
    const Clock* clock = nullptr;
    Random* random = nullptr;  // Thread-safe.
    std::function<Now()> now;
    std::function<void(std::function<void()>)> post;  // Runs on the router's thread, soon.
  };

  BatchService(const BatchRunnerConfig& config, Parts parts, BatchLines lines);
  ~BatchService() override;

  // Blocks; any thread, before the service recovers: what had not ended.
  Status load();
  // On the router's thread from here on. The service has recovered: go on.
  void begin();
  void job_ended(RequestId job, JobState state);
  void tick();
  // Any thread: ends the work on files. No calls to the store follow.
  void stop();

  // BatchBackend: everything is brought to the router's thread.
  void create(BatchRecord batch, std::function<void(Result<BatchRecord>)> done) override;
  void find(std::string tenant, RequestId id,
            std::function<void(Result<BatchRecord>)> done) override;
  void list(ListQuery query, std::function<void(Result<Listed<BatchRecord>>)> done) override;
  void cancel(std::string tenant, RequestId id,
              std::function<void(Result<BatchRecord>)> done) override;

 private:
  using BatchCallback = std::function<void(Result<BatchRecord>)>;

  void insert(BatchRecord batch, const BatchCallback& done);
  void run_effects();
  void carry_out(ValidateBatch& effect);
  void carry_out(ReadLines& effect);
  void carry_out(FeedLines& effect);
  void carry_out(StoreBatch& effect);
  void carry_out(CancelLines& effect);
  void carry_out(WriteOutput& effect);
  void carry_out(AnswerCancel& effect);
  std::function<void(Status)> when_stored(RequestId batch);

  Parts parts_;
  BatchLines lines_;
  RequestIdSource ids_;  // Of lines and output files.
  BatchRunner runner_;
  BatchDisk disk_;
  std::map<RequestId, std::vector<BatchCallback>> cancelling_;
  bool has_begun_ = false;
  TaskThread worker_;  // Last: ends first.
};

}  // namespace lockstep
