#include "chainbridge/signer/signer_service.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <atomic>
#include <thread>

#include "base/random.h"
#include "chainbridge/evm/typed_data.h"
#include "chainbridge/signer/signer_socket.h"
#include "tests/chainbridge/signer/signer_support.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

KeyVault example_vault() {
  EXPECT_GE(::sodium_init(), 0);
  const Keystore keystore =
      seal_keystore(keccak256("cow").bytes, "pass phrase", 2, system_random()).value();
  return KeyVault::open(keystore, "pass phrase").value();
}

// A signer behind its socket, on a thread.
class SignerSocket : public testing::Test {
 protected:
  SignerSocket()
      : service(example_vault(), example_policy(),
                SignerStore::open(scratch.file("signer.sqlite")).value(), system_clock()),
        thread([this] {
          served = serve_signer(
              path, [this](ByteView request) { return service.answer(request); }, stop);
        }) {
    while (!client.address().ok()) std::this_thread::yield();
  }
  ~SignerSocket() override {
    stop.store(true);
    thread.join();
    EXPECT_TRUE(served.ok());
  }

  ScratchDirectory scratch;
  std::string path = scratch.file("signer.sock");
  SignerService service;
  SignerClient client{path};
  std::atomic<bool> stop = false;
  Status served;
  std::thread thread;
};

TEST_F(SignerSocket, SignsWhatIsAllowed) {
  const Transaction transaction = withdraw_transaction(kOwner);
  const auto signed_transaction = decode_signed(client.sign(transaction).value()).value();
  EXPECT_EQ(signed_transaction.transaction, transaction);
  EXPECT_EQ(sender_of(signed_transaction).value(), client.address().value());
  EXPECT_EQ(client.sign(transaction).value(), encode_signed(signed_transaction)) << "same bytes";
}

TEST_F(SignerSocket, SignsAHeaderOfASequenceOnceInWhateverForm) {
  const Bytes signature = client.sign_header(example_header(1)).value();
  const Digest digest =
      typed_data_digest(domain_separator({.chain_id = kChain, .contract = kRollup}),
                        header_struct_hash(example_header(1)));
  EXPECT_EQ(recover_signer(digest, Signature::of_bytes(signature).value()).value(),
            client.address().value());
  EXPECT_TRUE(client.sign(submit_transaction(example_header(1))).ok());
  EXPECT_EQ(client.sign(submit_transaction(example_header(1, "b"))).error().code,
            ErrorCode::kPermission);
  EXPECT_EQ(client.sign_header(example_header(1, "b")).error().code, ErrorCode::kPermission);
}

TEST_F(SignerSocket, SignsReceiptsOfItsEscrow) {
  const ReceiptRequest request{kChain, kEscrow, {keccak256("j"), {}, {}, {}}};
  EXPECT_EQ(client.sign_receipt(request).value().size(), 65U);
  EXPECT_FALSE(client.sign_receipt({kChain, kRollup, {}}).ok());
}

TEST_F(SignerSocket, SaysWhyItRefuses) {
  Transaction foreign = withdraw_transaction(kOwner);
  foreign.value = 1;
  const Result<Bytes> answer = client.sign(foreign);
  EXPECT_EQ(answer.error().code, ErrorCode::kPermission);
  EXPECT_NE(answer.error().message.find("value"), std::string::npos) << answer.error().message;
}

TEST_F(SignerSocket, AnswersGarbageWithARefusal) {
  for (const Bytes& garbage : {Bytes{}, Bytes{1}, Bytes{1, 9}, Bytes(100, 0xFF)}) {
    EXPECT_FALSE(decode_sign_answer(service.answer(garbage)).ok());
  }
}

TEST(KeyVault, RefusesAWrongPassphrase) {
  EXPECT_GE(::sodium_init(), 0);
  const Keystore keystore =
      seal_keystore(keccak256("cow").bytes, "right", 2, system_random()).value();
  EXPECT_EQ(KeyVault::open(keystore, "wrong").error().code, ErrorCode::kPermission);
}

TEST(SignerClient, SaysThatNobodyAnswers) {
  const ScratchDirectory scratch;
  EXPECT_EQ(SignerClient(scratch.file("none.sock")).address().error().code,
            ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace lockstep
