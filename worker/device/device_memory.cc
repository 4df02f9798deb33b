#include "worker/device/device_memory.h"

#include <string>
#include <utility>

namespace lockstep {

Status device_status(const cuda::DeviceTable& device, cuda::DeviceError error,
                     std::string_view what) {
  if (error == 0) return {};
  return Error{ErrorCode::kIo,
               "cuda: " + std::string(what) + ": " + device.runtime.error_text(error)};
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) (void)device_->runtime.release(data_);
}

Result<DeviceMemory> DeviceMemory::allocate(const cuda::DeviceTable& device, std::size_t bytes) {
  DeviceMemory memory;
  memory.device_ = &device;
  memory.bytes_ = bytes;
  LOCKSTEP_TRY(device_status(device, device.runtime.allocate(&memory.data_, bytes), "allocate"),
               std::to_string(bytes) + " bytes");
  return memory;
}

}  // namespace lockstep
