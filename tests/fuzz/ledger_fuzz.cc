// The ledger's reader and the parser of inclusion proofs. The first byte says how the rest is
// meant:
//
//   0  the file of a ledger, byte for byte
//   1  payloads, one a line, that are framed and chained here: past the hashes, into the records
//   2  the JSON of an inclusion proof
//
// Whatever is accepted must hold what is promised of it.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file.h"
#include "chainbridge/inclusion_proof.h"
#include "chainbridge/ledger/chain_state.h"
#include "chainbridge/ledger/frame.h"

namespace lockstep {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A file in memory that the reader can open by path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(memfd_create("ledger", MFD_CLOEXEC)) {
    require(fd_ >= 0);
    require(::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void read_file_of_records(std::string_view bytes) {
  const MemoryFile memory(bytes);
  const auto file = File::open_read(memory.path());
  require(file.ok());
  FrameReader reader(file.value(), bytes.size());
  ChainState state;
  while (true) {
    const std::uint64_t offset = reader.offset();
    const auto frame = reader.next();
    if (!frame.ok() || !frame.value()) break;
    require(reader.offset() > offset && reader.offset() <= bytes.size());
    if (!state.apply(*frame.value()).ok()) break;
  }
}

void read_payloads(std::string_view text) {
  ChainState state;
  Digest head;
  for (std::uint64_t sequence = 0; !text.empty(); ++sequence) {
    const std::string payload(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(payload.size() + 1, text.size()));
    if (payload.empty()) return;
    head = record_hash(head, sequence, payload);
    const auto record = state.apply({sequence, 0, payload, head});
    if (!record.ok()) return;
    const auto again = encode_record(record.value());
    require(again.ok() && again.value() == payload);
  }
}

void read_proof(std::string_view text) {
  const auto proof = parse_inclusion_proof(text);
  if (!proof.ok()) return;
  const auto again = parse_inclusion_proof(inclusion_proof_json(proof.value()).dump());
  require(again.ok() && again.value().leaf == proof.value().leaf);
  require(again.value().header == proof.value().header);
  require(verify_inclusion_proof(proof.value()).ok() == verify_inclusion_proof(again.value()).ok());
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      lockstep::read_file_of_records(text);
      break;
    case 1:
      lockstep::read_payloads(text);
      break;
    default:
      lockstep::read_proof(text);
  }
  return 0;
}
