#include "chainbridge/ledger/frame.h"

#include <algorithm>
#include <array>

#include "base/tagged_hash.h"

namespace lockstep {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'L', 'S', 'R', '1'};
constexpr std::size_t kCheckBytes = 8;

// Without it a flipped bit in a length could make the rest of the file look like a torn tail, and
// be cut off.
std::array<std::uint8_t, kCheckBytes> header_check(const Digest& previous, std::uint64_t sequence,
                                                   std::uint32_t payload_bytes) {
  const Digest hash = TaggedHash("frame").add(previous).add(sequence).add(payload_bytes).digest();
  std::array<std::uint8_t, kCheckBytes> check;
  std::copy_n(hash.bytes.begin(), kCheckBytes, check.begin());
  return check;
}

}  // namespace

struct FrameReader::Header {
  std::uint32_t payload_bytes;
};

std::string record_place(std::uint64_t sequence, std::uint64_t offset) {
  return "record " + std::to_string(sequence) + " at byte " + std::to_string(offset);
}

Digest record_hash(const Digest& previous, std::uint64_t sequence, std::string_view payload) {
  return TaggedHash("record").add(previous).add(sequence).add(keccak256(payload)).digest();
}

Bytes encode_frame(const Digest& previous, std::uint64_t sequence, std::string_view payload) {
  CHECK(!payload.empty() && payload.size() <= kMaxPayloadBytes, "a ledger record of this size");
  const auto payload_bytes = static_cast<std::uint32_t>(payload.size());
  const auto check = header_check(previous, sequence, payload_bytes);
  const Digest hash = record_hash(previous, sequence, payload);
  Bytes frame;
  frame.reserve(kFrameHeaderBytes + payload.size() + kFrameHashBytes);
  frame.insert(frame.end(), kMagic.begin(), kMagic.end());
  append_le(frame, payload_bytes);
  frame.insert(frame.end(), check.begin(), check.end());
  frame.insert(frame.end(), payload.begin(), payload.end());
  frame.insert(frame.end(), hash.bytes.begin(), hash.bytes.end());
  return frame;
}

// Some file systems lengthen a file before its new bytes reach the disk: after a crash they are
// zeros.
Result<bool> FrameReader::only_zeros_follow() const {
  std::array<std::uint8_t, 65536> buffer;
  for (std::uint64_t at = offset_; at < file_bytes_;) {
    const auto bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file_bytes_ - at));
    const std::span<std::uint8_t> part(buffer.data(), bytes);
    LOCKSTEP_TRY(file_.read_exact(at, part), "ledger");
    if (std::any_of(part.begin(), part.end(), [](std::uint8_t byte) { return byte != 0; })) {
      return false;
    }
    at += bytes;
  }
  return true;
}

Result<std::optional<FrameReader::Header>> FrameReader::read_header() const {
  std::array<std::uint8_t, kFrameHeaderBytes> bytes;
  const auto available =
      static_cast<std::size_t>(std::min<std::uint64_t>(kFrameHeaderBytes, file_bytes_ - offset_));
  LOCKSTEP_TRY(file_.read_exact(offset_, {bytes.data(), available}), "ledger");
  const auto corrupt = [&](const std::string& what) {
    return Error{ErrorCode::kCorrupt, record_place(sequence_, offset_) + ": " + what};
  };
  if (!std::equal(bytes.begin(), bytes.begin() + std::min(available, kMagic.size()),
                  kMagic.begin())) {
    LOCKSTEP_TRY_ASSIGN(const bool unwritten, only_zeros_follow(),
                        record_place(sequence_, offset_));
    if (unwritten) return std::optional<Header>();
    return corrupt("does not start with LSR1");
  }
  if (available < kFrameHeaderBytes) return std::optional<Header>();
  const auto payload_bytes = load_le<std::uint32_t>(bytes.data() + 4);
  const auto check = header_check(head_, sequence_, payload_bytes);
  if (!std::equal(check.begin(), check.end(), bytes.begin() + 8)) {
    return corrupt(
        "the header's check differs: damaged, or not the successor of the record before");
  }
  if (payload_bytes == 0 || payload_bytes > kMaxPayloadBytes) {
    return corrupt("has " + std::to_string(payload_bytes) + " bytes, expected 1 to " +
                   std::to_string(kMaxPayloadBytes));
  }
  return std::optional<Header>(Header{payload_bytes});
}

Result<std::optional<Frame>> FrameReader::next() {
  if (offset_ == file_bytes_) return std::optional<Frame>();
  LOCKSTEP_TRY_ASSIGN(const std::optional<Header> header, read_header(), file_.path());
  if (!header) return std::optional<Frame>();
  const std::uint64_t body_bytes = header->payload_bytes + kFrameHashBytes;
  if (file_bytes_ - offset_ - kFrameHeaderBytes < body_bytes) return std::optional<Frame>();

  Frame frame{.sequence = sequence_, .offset = offset_, .payload = {}, .hash = {}};
  frame.payload.resize(header->payload_bytes);
  const std::span<std::uint8_t> payload(reinterpret_cast<std::uint8_t*>(frame.payload.data()),
                                        frame.payload.size());
  LOCKSTEP_TRY(file_.read_exact(offset_ + kFrameHeaderBytes, payload), "ledger");
  LOCKSTEP_TRY(file_.read_exact(offset_ + kFrameHeaderBytes + payload.size(), frame.hash.bytes),
               "ledger");
  if (frame.hash != record_hash(head_, sequence_, frame.payload)) {
    return Error{ErrorCode::kCorrupt, file_.path() + ": " + record_place(sequence_, offset_) +
                                          ": the hash of the record differs from its bytes"};
  }
  offset_ += kFrameHeaderBytes + body_bytes;
  head_ = frame.hash;
  ++sequence_;
  return std::optional<Frame>(std::move(frame));
}

}  // namespace lockstep
