// An outbox over a real chain, for Python tests: commands on stdin, one JSON line each on stdout.
//
//   outbox_tool DATABASE CHAIN_ID GENESIS SIGNER FINALITY URL...
//
// SIGNER is the socket of `lockstep signer`, or key:HEX; FINALITY a depth, or `finalized`.
//
//   add KEY ADDRESS DATA    a write of these bytes (hexadecimal)
//   poll                    one round; what it reports
//   row KEY                 a row
//   quick | usual           resends, replaces and retries at once, or as usual
//   reset                   goes on after a final block has vanished
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "base/canonical_json.h"
#include "base/database.h"
#include "chainbridge/evm/evm_client.h"
#include "chainbridge/outbox/outbox.h"
#include "chainbridge/signer/signer_socket.h"

namespace lockstep {
namespace {

class KeySigner final : public TransactionSigner {
 public:
  explicit KeySigner(const Digest& key) : key_(key) {}
  Result<Bytes> sign(const Transaction& transaction) override {
    return encode_signed(
        {transaction, sign_digest(key_.bytes, signing_digest(transaction)).value()});
  }
  Address address() const { return address_of_key(key_.bytes).value(); }

 private:
  Digest key_;
};

struct Arguments {
  std::string database, signer;
  EvmClientConfig client;
};

Result<Arguments> parse(int argc, char** argv) {
  if (argc < 7) return Error{ErrorCode::kInvalidArgument, "see the head of this file"};
  Arguments arguments;
  arguments.database = argv[1];
  LOCKSTEP_TRY_ASSIGN(const Uint256 chain_id, Uint256::of_decimal(argv[2]), "chain id");
  arguments.client.chain.chain_id = chain_id.limbs[0];
  LOCKSTEP_TRY_ASSIGN(arguments.client.chain.genesis, Digest::from_hex(argv[3]), "genesis");
  arguments.signer = argv[4];
  if (std::string(argv[5]) != "finalized") {
    LOCKSTEP_TRY_ASSIGN(const Uint256 depth, Uint256::of_decimal(argv[5]), "finality");
    arguments.client.finality_depth = depth.limbs[0];
  }
  arguments.client.limits.timeout_ms = 2'000;
  for (int i = 6; i < argc; ++i) arguments.client.urls.emplace_back(argv[i]);
  return arguments;
}

OutboxConfig config_of(const Arguments& arguments, const Address& sender, bool is_quick) {
  OutboxConfig config;
  config.owner = {arguments.client.chain, sender};
  config.rules = {RevertTable({"AlreadyRecorded()"}), {"AlreadyRecorded"}, {}};
  if (is_quick) {
    config.policy.resend_ms = 0;
    config.policy.replace_ms = 0;
    config.policy.retry_ms = 0;
  }
  return config;
}

Json report_of(const Result<OutboxReport>& report) {
  if (!report.ok()) {
    return {{"error", report.error().message}, {"code", error_code_name(report.error().code)}};
  }
  return {{"open", report.value().num_open},
          {"alarms", report.value().alarms},
          {"latest", report.value().heads.latest.id.number},
          {"final", report.value().heads.final.id.number}};
}

Json row_of(const Result<std::optional<OutboxRow>>& found) {
  if (!found.ok()) return {{"error", found.error().message}};
  if (!found.value()) return nullptr;
  const OutboxRow& row = *found.value();
  Json out = {{"state", outbox_state_name(row.state)},
              {"attempts", row.attempts.size()},
              {"tries", row.tries},
              {"paid", row.paid.decimal()},
              {"reason", row.reason}};
  if (row.nonce) out["nonce"] = *row.nonce;
  if (row.block) out["block"] = row.block->number;
  return out;
}

Json add(Database& database, Outbox& outbox, std::istringstream& words) {
  OutboxIntent intent;
  std::string to;
  std::string data;
  words >> intent.key >> to >> data;
  intent.to = Address::of_text(to).value();
  intent.data = from_hex(data).value();
  intent.fee_ceiling = Uint256::of_decimal("100000000000000000").value();
  Status status = database.execute("BEGIN IMMEDIATE");
  CHECK(status.ok(), "no transaction");
  const Result<bool> added = outbox.add(intent);
  status = database.execute("COMMIT");
  if (!added.ok()) return {{"error", added.error().message}};
  return {{"added", added.value() && status.ok()}};
}

Status run(const Arguments& arguments) {
  std::unique_ptr<TransactionSigner> signer;
  Address sender;
  if (arguments.signer.starts_with("key:")) {
    LOCKSTEP_TRY_ASSIGN(const Digest key, Digest::from_hex(arguments.signer.substr(4)), "key");
    auto local = std::make_unique<KeySigner>(key);
    sender = local->address();
    signer = std::move(local);
  } else {
    auto remote = std::make_unique<SignerClient>(arguments.signer);
    LOCKSTEP_TRY_ASSIGN(sender, remote->address(), "signer");
    signer = std::move(remote);
  }
  LOCKSTEP_TRY_ASSIGN(const auto chain, EvmClient::make(arguments.client, system_clock()), "chain");
  LOCKSTEP_TRY_ASSIGN(Database database, Database::open(arguments.database, {}), "database");
  const auto open = [&](bool is_quick) {
    return Outbox::open(database, *chain, *signer, config_of(arguments, sender, is_quick),
                        system_clock());
  };
  LOCKSTEP_TRY_ASSIGN(Outbox outbox, open(false), "outbox");
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    Json answer = nullptr;
    if (command == "add") answer = add(database, outbox, words);
    if (command == "poll") answer = report_of(outbox.poll());
    if (command == "reset") answer = {{"done", outbox.reset_halt().ok()}};
    if (command == "row") {
      std::string key;
      words >> key;
      answer = row_of(outbox.find(key));
    }
    if (command == "quick" || command == "usual") {
      LOCKSTEP_TRY_ASSIGN(Outbox again, open(command == "quick"), "outbox");
      outbox = std::move(again);
    }
    std::cout << answer.dump() << std::endl;
  }
  return {};
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const auto arguments = lockstep::parse(argc, argv);
  const lockstep::Status status =
      arguments.ok() ? lockstep::run(arguments.value()) : lockstep::Status(arguments.error());
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return lockstep::exit_status(status.error().code);
}
