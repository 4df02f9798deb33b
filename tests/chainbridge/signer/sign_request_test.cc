#include "chainbridge/signer/sign_request.h"

#include <gtest/gtest.h>

#include "tests/chainbridge/signer/signer_support.h"

namespace lockstep {
namespace {

std::vector<SignRequest> examples() {
  return {AddressRequest{}, TransactionRequest{withdraw_transaction(kOwner)},
          HeaderRequest{example_header(7)},
          ReceiptRequest{kChain,
                         kEscrow,
                         {keccak256("j"), keccak256("r"), keccak256("o"), {.high = 1, .low = 2}}}};
}

TEST(SignRequest, ReadsBackAsItWas) {
  for (const SignRequest& request : examples()) {
    EXPECT_EQ(decode_sign_request(encode_sign_request(request)).value(), request);
  }
}

TEST(SignRequest, RefusesOtherLengthsKindsAndVersions) {
  for (const SignRequest& request : examples()) {
    Bytes bytes = encode_sign_request(request);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_sign_request(ByteView(bytes).first(size)).ok());
    }
    bytes.push_back(0);
    EXPECT_FALSE(decode_sign_request(bytes).ok());
    bytes.pop_back();
    bytes[0] = 2;
    EXPECT_FALSE(decode_sign_request(bytes).ok());
  }
  EXPECT_FALSE(decode_sign_request(Bytes{1, 4}).ok());
  EXPECT_FALSE(decode_sign_request(Bytes(kMaxSignRequestBytes + 1, 1)).ok());
}

TEST(SignAnswer, CarriesBytesOrAnError) {
  EXPECT_EQ(decode_sign_answer(encode_sign_answer(Bytes{1, 2, 3})).value(), (Bytes{1, 2, 3}));
  const Error error{ErrorCode::kPermission, "no\nnever"};
  const auto answer = decode_sign_answer(encode_sign_answer(error));
  EXPECT_EQ(answer.error().code, ErrorCode::kPermission);
  EXPECT_EQ(answer.error().message, "no?never");
  EXPECT_EQ(decode_sign_answer({}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_sign_answer(Bytes{99}).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace lockstep
