// Memory of a device, handed out from one allocation, and a device's errors as Status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/result.h"
#include "kernels/device_table.h"

namespace lockstep {

// "cuda: WHAT: an illegal memory access was encountered". A device that failed is no use any more.
Status device_status(const cuda::DeviceTable& device, cuda::DeviceError error,
                     std::string_view what);

// Elements of an array of so many; each at least 0.
inline std::size_t size_of(int a, int b = 1, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

// Hands out pieces of a run of memory, one behind the other. Without memory it counts: the same
// code says how much a layout needs and lays it out.
class DeviceArena {
 public:
  DeviceArena() = default;
  DeviceArena(void* memory, std::size_t bytes)
      : begin_(static_cast<std::uint8_t*>(memory)), bytes_(bytes) {}

  // `count` elements, aligned to 256 bytes. Requires: a counting arena, or one that has them.
  template <typename T>
  T* take(std::size_t count) {
    const std::size_t at = used_;
    constexpr std::size_t kAlignment = 256;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (begin_ == nullptr) return nullptr;
    CHECK(used_ <= bytes_, "a layout is larger than it was reckoned");
    return reinterpret_cast<T*>(begin_ + at);
  }
  std::size_t bytes_used() const { return used_; }

 private:
  std::uint8_t* begin_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t used_ = 0;
};

// One allocation on a device.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  ~DeviceMemory();

  static Result<DeviceMemory> allocate(const cuda::DeviceTable& device, std::size_t bytes);

  DeviceArena arena() const { return {data_, bytes_}; }
  std::uint8_t* data() const { return static_cast<std::uint8_t*>(data_); }

 private:
  const cuda::DeviceTable* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace lockstep
