#include "worker/communicator.h"

#include <bit>

namespace lockstep {
namespace {

// Bytes as floats, bit for bit (the gather moves them, never computes with them), padded to whole
// words.
std::vector<float> to_words(ByteView bytes) {
  std::vector<float> words((bytes.size() + 3) / 4);
  if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

float word(std::uint32_t value) { return std::bit_cast<float>(value); }

}  // namespace

Status agree(Communicator& group, const Status& mine) {
  const int world_size = group.world_size();
  const std::string text =
      mine.ok() ? std::string()
                : "rank " + std::to_string(group.rank()) + ": " + mine.error().message;
  const std::uint32_t code = mine.ok() ? 0 : 1 + static_cast<std::uint32_t>(mine.error().code);

  const float header[2] = {word(code), word(static_cast<std::uint32_t>(text.size()))};
  const std::vector<std::size_t> two(static_cast<std::size_t>(world_size), 2);
  std::vector<float> headers(2 * static_cast<std::size_t>(world_size));
  LOCKSTEP_TRY(group.gather(header, two, headers, kAllRanks), "agree");

  std::vector<std::size_t> counts;
  std::size_t total = 0;
  for (std::size_t r = 0; r < two.size(); ++r) {
    counts.push_back((std::bit_cast<std::uint32_t>(headers[2 * r + 1]) + 3) / 4);
    total += counts.back();
  }
  std::vector<float> texts(total);
  LOCKSTEP_TRY(group.gather(to_words(as_bytes(text)), counts, texts, kAllRanks), "agree");

  std::size_t offset = 0;
  for (std::size_t r = 0; r < two.size(); ++r) {
    const auto failed = std::bit_cast<std::uint32_t>(headers[2 * r]);
    if (failed != 0) {
      const auto bytes = std::bit_cast<std::uint32_t>(headers[2 * r + 1]);
      std::string message(bytes, '\0');
      std::memcpy(message.data(), texts.data() + offset, bytes);
      return Error{static_cast<ErrorCode>(failed - 1), std::move(message)};
    }
    offset += counts[r];
  }
  return {};
}

}  // namespace lockstep
