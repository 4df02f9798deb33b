#include "chainbridge/signer/signer_policy.h"

#include <gtest/gtest.h>

#include <random>

#include "base/canonical_json.h"
#include "tests/chainbridge/signer/signer_support.h"

namespace lockstep {
namespace {

bool allowed(const SignRequest& request) { return check_request(example_policy(), request).ok(); }
bool allowed(const Transaction& transaction) { return allowed(TransactionRequest{transaction}); }

// `transaction` with one thing changed.
template <typename Change>
Transaction with(Transaction transaction, Change change) {
  change(transaction);
  return transaction;
}

TEST(SignerPolicy, AllowsWhatIsOnTheList) {
  EXPECT_TRUE(allowed(withdraw_transaction(kOwner)));
  EXPECT_TRUE(allowed(submit_transaction(example_header(1))));
  EXPECT_TRUE(allowed(HeaderRequest{example_header(1)}));
  EXPECT_TRUE(allowed(ReceiptRequest{kChain, kEscrow, {}}));
  EXPECT_TRUE(allowed(AddressRequest{}));
}

TEST(SignerPolicy, SaysWhatATransactionCommitsTo) {
  const auto commitment =
      check_request(example_policy(), TransactionRequest{submit_transaction(example_header(5))});
  EXPECT_EQ(commitment.value().header, example_header(5));
  EXPECT_EQ(commitment.value().spend, Uint256(100 * 100'000));
}

TEST(SignerPolicy, RefusesOneChangeOfEachKind) {
  const Transaction good = withdraw_transaction(kOwner);
  using T = Transaction;
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.chain_id = 1; })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.to.reset(); })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.to = kRollup; })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.to = numbered_address(9); })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.data[0] ^= 1; })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.data.clear(); })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.data.push_back(0); })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.data.resize(t.data.size() - 1); })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.value = 1; })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.fees.max_fee = 1'001; })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.fees.max_priority = 101; })));
  EXPECT_FALSE(allowed(with(good, [](T& t) { t.gas_limit = 1'000'001; })));
  EXPECT_FALSE(allowed(withdraw_transaction(numbered_address(0x44)))) << "money to another";
  const Transaction fund = call_transaction(kEscrow, "fund(uint256)", {AbiValue::of(Uint256(1))});
  EXPECT_TRUE(allowed(with(fund, [](T& t) { t.value = 500; })));
  EXPECT_FALSE(allowed(with(fund, [](T& t) { t.value = 501; })));
}

TEST(SignerPolicy, RefusesHeadersOfOthers) {
  RollupHeader header = example_header(1);
  header.operator_id = numbered_address(0x44).word();
  EXPECT_FALSE(allowed(HeaderRequest{header}));
  EXPECT_FALSE(allowed(submit_transaction(header)));
  header = example_header(1);
  header.contract = kEscrow.word();
  EXPECT_FALSE(allowed(HeaderRequest{header}));
  header = example_header(1);
  header.chain_id = 1;
  EXPECT_FALSE(allowed(HeaderRequest{header}));
  EXPECT_FALSE(allowed(ReceiptRequest{kChain, kRollup, {}}));
  EXPECT_FALSE(allowed(ReceiptRequest{1, kEscrow, {}}));
}

// 1,000 transactions that nobody put on the list: random ones, and good ones with a byte changed.
TEST(SignerPolicy, RefusesForeignTransactions) {
  std::mt19937_64 random(7);
  int refused = 0;
  for (int i = 0; i < 1'000; ++i) {
    Transaction foreign = i % 2 == 0 ? withdraw_transaction(kOwner)
                                     : submit_transaction(example_header(random() % 100));
    switch (random() % 5) {
      case 0:
        foreign.to->bytes[random() % 20] ^= static_cast<std::uint8_t>(1 + random() % 255);
        break;
      case 1:
        foreign.data[random() % 4] ^= static_cast<std::uint8_t>(1 + random() % 255);
        break;
      case 2:
        foreign.data.resize(4 + random() % (foreign.data.size() - 4));
        break;
      case 3:
        foreign.value = random() | 1;
        break;
      default:
        foreign.to = numbered_address(static_cast<std::uint8_t>(0x50 + random() % 100));
        foreign.data.resize(random() % 200);
        for (std::uint8_t& byte : foreign.data) byte = static_cast<std::uint8_t>(random());
        break;
    }
    refused += allowed(foreign) ? 0 : 1;
  }
  EXPECT_EQ(refused, 1'000);
}

TEST(ParseSignerPolicy, NamesWhatIsWrong) {
  const Json good = Json::parse(policy_text());
  const auto refused = [&good](const char* pointer, const Json& value) {
    Json changed = good;
    changed[Json::json_pointer(pointer)] = value;
    return !parse_signer_policy(changed.dump()).ok();
  };
  EXPECT_FALSE(refused("/chains/0/max_gas_limit", 21'000));
  EXPECT_TRUE(refused("/owner", "0x12"));
  EXPECT_TRUE(refused("/surprise", 1));
  EXPECT_TRUE(refused("/chains/0/surprise", 1));
  EXPECT_TRUE(refused("/chains/0/chain_id", 0));
  EXPECT_TRUE(refused("/chains/0/spend_per_day", 5));
  EXPECT_TRUE(refused("/chains/0/spend_per_day", "-5"));
  EXPECT_TRUE(refused("/chains/1", good["chains"][0])) << "a chain twice";
  EXPECT_TRUE(refused("/chains/0/calls/0/method", "submit"));
  EXPECT_TRUE(refused("/chains/0/calls/0/method", "submit(uint)"));
  EXPECT_TRUE(refused("/chains/0/calls/2/recipient_argument", 0)) << "that is a number";
  EXPECT_TRUE(refused("/chains/0/calls/1/recipient_argument", 1)) << "there is none";
  EXPECT_FALSE(parse_signer_policy("[]").ok());
  EXPECT_FALSE(parse_signer_policy("{").ok());
}

}  // namespace
}  // namespace lockstep
