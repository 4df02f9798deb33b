// An outbox on a database in a folder of its own, over a FakeChain. `restart` is what a killed
// process leaves to the next one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/chainbridge/outbox/fake_chain.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {

class OutboxFixture : public testing::Test {
 protected:
  OutboxFixture() { restart(); }

  void restart() {
    outbox.reset();
    database.reset();
    database = std::make_unique<Database>(Database::open(path, {}).value());
    OutboxConfig config;
    config.owner = {{1, keccak256("genesis")}, FakeSigner::address()};
    config.policy = policy;
    config.rules = {RevertTable({"AlreadyRecorded()", "TooEarly()", "Forbidden()"}),
                    {"AlreadyRecorded"},
                    {"TooEarly"}};
    outbox =
        std::make_unique<Outbox>(Outbox::open(*database, chain, signer, config, clock).value());
    outbox->set_listener([this](const OutboxRow& row) -> Status {
      ended.push_back(row.intent.key);
      return {};
    });
  }

  static OutboxIntent intent(const std::string& key) {
    OutboxIntent made;
    made.key = key;
    made.to.bytes[19] = 7;
    made.data = Bytes(key.begin(), key.end());
    made.fee_ceiling = 10'000'000'000;
    return made;
  }
  void add(const std::string& key) {
    ASSERT_TRUE(database->execute("BEGIN IMMEDIATE").ok());
    ASSERT_TRUE(outbox->add(intent(key)).value());
    ASSERT_TRUE(database->execute("COMMIT").ok());
  }
  OutboxRow row(const std::string& key) { return outbox->find(key).value().value(); }
  OutboxState state(const std::string& key) { return row(key).state; }
  int times_done(const std::string& key) { return chain.times_done(intent(key).data); }

  // One poll, and what it alarms of.
  std::vector<std::string> poll() {
    const Result<OutboxReport> report = outbox->poll();
    if (!report.ok()) return {report.error().message};
    return report.value().alarms;
  }
  // Time, blocks and polls until nothing is open, `rounds` at most.
  void settle(int rounds = 60) {
    for (int i = 0; i < rounds; ++i) {
      clock.now_ms += 10'000;
      chain.mine();
      const Result<OutboxReport> report = outbox->poll();
      if (report.ok() && report.value().num_open == 0) return;
    }
  }

  ScratchDirectory scratch;
  std::string path = scratch.file("outbox.sqlite");
  FakeClock clock;
  FakeChain chain;
  FakeSigner signer;
  OutboxPolicy policy;
  std::unique_ptr<Database> database;
  std::unique_ptr<Outbox> outbox;
  std::vector<std::string> ended;  // Keys, as the listener was told.
};

}  // namespace lockstep
