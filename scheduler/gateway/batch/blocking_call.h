// A call that answers through a callback, as one that blocks.
#pragma once

#include <future>
#include <memory>
#include <utility>

namespace lockstep {

// What `call` gives to the callback that it gets. Requires: the callback comes on another thread,
// or at once.
template <typename T, typename Call>
T await_call(Call call) {
  // Shared: whoever sets the value may still be at it when this returns.
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> future = promise->get_future();
  call([promise](T value) { promise->set_value(std::move(value)); });
  return future.get();
}

}  // namespace lockstep
