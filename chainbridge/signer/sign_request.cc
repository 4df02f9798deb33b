#include "chainbridge/signer/sign_request.h"

#include <algorithm>
#include <array>

#include "base/error_codes.h"

namespace lockstep {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kDone = 0;
constexpr std::size_t kMaxErrorBytes = 200;
enum Kind : std::uint8_t { kAddress = 0, kTransaction = 1, kHeader = 2, kReceipt = 3 };

Error corrupt(const char* why) { return {ErrorCode::kCorrupt, std::string("signer: ") + why}; }

void append(Bytes& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

// Reads fields in order; what is missing is zero and makes it no longer whole.
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}

  std::uint64_t u64() {
    std::array<std::uint8_t, 8> bytes{};
    read(bytes);
    return load_le<std::uint64_t>(bytes.data());
  }
  Digest digest() {
    Digest digest;
    read(digest.bytes);
    return digest;
  }
  Address address() {
    Address address;
    read(address.bytes);
    return address;
  }
  // Whether there was enough, and no more.
  bool is_whole() const { return is_whole_ && rest_.empty(); }

 private:
  void read(std::span<std::uint8_t> out) {
    if (rest_.size() < out.size()) {
      is_whole_ = false;
      return;
    }
    std::ranges::copy(rest_.first(out.size()), out.begin());
    rest_ = rest_.subspan(out.size());
  }

  ByteView rest_;
  bool is_whole_ = true;
};

struct Encoder {
  Bytes out = {kVersion};

  void operator()(const AddressRequest&) { out.push_back(kAddress); }
  void operator()(const TransactionRequest& request) {
    out.push_back(kTransaction);
    append(out, encode_unsigned(request.transaction));
  }
  void operator()(const HeaderRequest& request) {
    const RollupHeader& header = request.header;
    out.push_back(kHeader);
    append_le(out, header.chain_id);
    append_le(out, header.sequence);
    append_le(out, header.count);
    for (const Digest& word : {header.contract, header.operator_id, header.previous, header.root,
                               header.data_commitment}) {
      append(out, word.view());
    }
  }
  void operator()(const ReceiptRequest& request) {
    out.push_back(kReceipt);
    append_le(out, request.chain_id);
    append_le(out, request.receipt.price.high);
    append_le(out, request.receipt.price.low);
    append(out, request.escrow.view());
    for (const Digest& word :
         {request.receipt.job_id, request.receipt.result_hash, request.receipt.output_hash}) {
      append(out, word.view());
    }
  }
};

Result<SignRequest> decode_header(ByteView bytes) {
  Reader reader(bytes);
  HeaderRequest request;
  RollupHeader& header = request.header;
  header.chain_id = reader.u64();
  header.sequence = reader.u64();
  header.count = reader.u64();
  header.contract = reader.digest();
  header.operator_id = reader.digest();
  header.previous = reader.digest();
  header.root = reader.digest();
  header.data_commitment = reader.digest();
  if (!reader.is_whole()) return corrupt("a header of another length");
  return SignRequest(request);
}

Result<SignRequest> decode_receipt(ByteView bytes) {
  Reader reader(bytes);
  ReceiptRequest request;
  request.chain_id = reader.u64();
  request.receipt.price.high = reader.u64();
  request.receipt.price.low = reader.u64();
  request.escrow = reader.address();
  request.receipt.job_id = reader.digest();
  request.receipt.result_hash = reader.digest();
  request.receipt.output_hash = reader.digest();
  if (!reader.is_whole()) return corrupt("a receipt of another length");
  return SignRequest(request);
}

}  // namespace

Bytes encode_sign_request(const SignRequest& request) {
  Encoder encoder;
  std::visit(encoder, request);
  return std::move(encoder.out);
}

Result<SignRequest> decode_sign_request(ByteView bytes) {
  if (bytes.size() > kMaxSignRequestBytes) return corrupt("a request that is too long");
  if (bytes.size() < 2 || bytes[0] != kVersion) return corrupt("no request of version 1");
  const ByteView fields = bytes.subspan(2);
  switch (bytes[1]) {
    case kAddress:
      if (!fields.empty()) return corrupt("bytes behind the request");
      return SignRequest(AddressRequest{});
    case kTransaction: {
      LOCKSTEP_TRY_ASSIGN(Transaction transaction, decode_unsigned(fields), "signer");
      return SignRequest(TransactionRequest{std::move(transaction)});
    }
    case kHeader:
      return decode_header(fields);
    case kReceipt:
      return decode_receipt(fields);
    default:
      return corrupt("a request of an unknown kind");
  }
}

Bytes encode_sign_answer(const Result<Bytes>& answer) {
  if (answer.ok()) {
    Bytes out = {kDone};
    append(out, answer.value());
    return out;
  }
  const Error& error = answer.error();
  const auto code = std::ranges::find(kErrorCodes, error.code);
  Bytes out = {static_cast<std::uint8_t>(1 + (code - kErrorCodes.begin()))};
  append(out, as_bytes(std::string_view(error.message).substr(0, kMaxErrorBytes)));
  return out;
}

Result<Bytes> decode_sign_answer(ByteView bytes) {
  if (bytes.empty() || bytes.size() > kMaxSignAnswerBytes || bytes[0] > kErrorCodes.size()) {
    return corrupt("the answer is none");
  }
  const ByteView rest = bytes.subspan(1);
  if (bytes[0] == kDone) return Bytes(rest.begin(), rest.end());
  std::string message(as_text(rest.first(std::min(rest.size(), kMaxErrorBytes))));
  std::ranges::replace_if(
      message, [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  return Error{kErrorCodes[bytes[0] - 1U], message};
}

}  // namespace lockstep
