// CHECK for programmer errors: prints the place and the message and aborts, in release builds too.
// Never for input, peers, files or chains; those return a Result.
#pragma once

namespace lockstep {

// Prints "FILE:LINE: CHECK failed: CONDITION: MESSAGE" on stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const char* message);

}  // namespace lockstep

#define CHECK(condition, message)                                          \
  do {                                                                     \
    if (!(condition)) [[unlikely]] {                                       \
      ::lockstep::check_failed(__FILE__, __LINE__, #condition, (message)); \
    }                                                                      \
  } while (false)
