#include "chainbridge/signer/signer_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/chainbridge/signer/signer_support.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

constexpr std::int64_t kDay = 20'000;

class SignerStoreCommit : public testing::Test {
 protected:
  Status commit_header(std::uint64_t sequence, const std::string& content) {
    return store.commit(
        {.header = example_header(sequence, content), .spend = {}, .spend_per_day = {}}, nullptr,
        kDay);
  }
  Status spend(std::uint64_t nonce, std::uint64_t wei, std::int64_t day = kDay) {
    Transaction transaction = withdraw_transaction(kOwner);
    transaction.nonce = nonce;
    return store.commit({.header = {}, .spend = wei, .spend_per_day = 100}, &transaction, day);
  }

  ScratchDirectory scratch;
  SignerStore store = SignerStore::open(scratch.file("signer.sqlite")).value();
};

TEST_F(SignerStoreCommit, RefusesASecondHeaderOfASequenceForEver) {
  EXPECT_TRUE(commit_header(1, "a").ok());
  EXPECT_TRUE(commit_header(1, "a").ok()) << "the same again";
  EXPECT_EQ(commit_header(1, "b").error().code, ErrorCode::kPermission);
  EXPECT_TRUE(commit_header(2, "b").ok());
  { const SignerStore gone = std::move(store); }
  store = SignerStore::open(scratch.file("signer.sqlite")).value();
  EXPECT_EQ(commit_header(1, "b").error().code, ErrorCode::kPermission) << "after a restart";
  EXPECT_TRUE(commit_header(1, "a").ok());
}

TEST_F(SignerStoreCommit, CountsTheDearestTransactionOfANonce) {
  EXPECT_TRUE(spend(1, 60).ok());
  EXPECT_TRUE(spend(1, 60).ok()) << "the same again is free";
  EXPECT_TRUE(spend(1, 70).ok()) << "a replacement costs the difference";
  EXPECT_TRUE(spend(2, 30).ok()) << "100 in all";
  EXPECT_EQ(spend(3, 1).error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(spend(3, 1, kDay + 1).ok()) << "tomorrow";
}

TEST_F(SignerStoreCommit, KeepsNeitherPartOfWhatIsRefused) {
  Transaction transaction = withdraw_transaction(kOwner);
  const SignerCommitment dear{.header = example_header(9), .spend = 101, .spend_per_day = 100};
  EXPECT_FALSE(store.commit(dear, &transaction, kDay).ok());
  EXPECT_TRUE(commit_header(9, "b").ok()) << "nothing was noted of the other header";
}

TEST_F(SignerStoreCommit, HasItsFileForItselfAlone) {
  EXPECT_EQ(SignerStore::open(scratch.file("signer.sqlite")).error().code, ErrorCode::kUnavailable);
  struct stat info {};
  ASSERT_EQ(::stat(scratch.file("signer.sqlite").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace lockstep
