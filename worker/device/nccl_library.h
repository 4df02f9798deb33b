// NCCL as a table of functions, opened by name: a machine without it loses nothing but speed.
// Source: the C interface of nccl.h, 2.14 and later; its structure of settings is read by the
// version that stands in it.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "kernels/device_table.h"

namespace lockstep {

using NcclComm = void*;

struct NcclId {
  char bytes[128];
};

inline constexpr int kNcclSuccess = 0;
inline constexpr int kNcclInProgress = 7;  // Of a communicator that does not block: ask again.
inline constexpr int kNcclFloat = 7;

struct NcclSettings {
  std::size_t size = sizeof(NcclSettings);
  unsigned magic = 0xCAFEBEEF;
  unsigned version = 21400;
  int blocking = 0;
};

struct NcclLibrary {
  int (*get_version)(int* version);  // 22809 is 2.28.9.
  const char* (*error_string)(int result);
  int (*make_id)(NcclId* id);
  int (*begin)(NcclComm* comm, int world_size, NcclId id, int rank, NcclSettings* settings);
  int (*state)(NcclComm comm, int* result);  // Of what was called last.
  int (*abort)(NcclComm comm);               // Frees it, too.
  int (*begin_group)();
  int (*end_group)();
  int (*send)(const void* data, std::size_t count, int type, int peer, NcclComm comm,
              cuda::DeviceStream stream);
  int (*receive)(void* data, std::size_t count, int type, int peer, NcclComm comm,
                 cuda::DeviceStream stream);
};

// kUnavailable says what is missing. What was opened stays open.
Result<NcclLibrary> open_nccl(const std::string& path);

}  // namespace lockstep
