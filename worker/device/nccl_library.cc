#include "worker/device/nccl_library.h"

#include <dlfcn.h>

namespace lockstep {
namespace {

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace

Result<NcclLibrary> open_nccl(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    return Error{ErrorCode::kUnavailable, reason == nullptr ? path : reason};
  }
  NcclLibrary found{};
  const bool complete = find(library, "ncclGetVersion", found.get_version) &&
                        find(library, "ncclGetErrorString", found.error_string) &&
                        find(library, "ncclGetUniqueId", found.make_id) &&
                        find(library, "ncclCommInitRankConfig", found.begin) &&
                        find(library, "ncclCommGetAsyncError", found.state) &&
                        find(library, "ncclCommAbort", found.abort) &&
                        find(library, "ncclGroupStart", found.begin_group) &&
                        find(library, "ncclGroupEnd", found.end_group) &&
                        find(library, "ncclSend", found.send) &&
                        find(library, "ncclRecv", found.receive);
  if (complete) return found;
  return Error{ErrorCode::kUnavailable, path + ": not NCCL 2.14 or later"};
}

}  // namespace lockstep
