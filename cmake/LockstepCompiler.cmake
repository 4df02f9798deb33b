# How every target is compiled: the interface library `lockstep_compiler`.

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(lockstep_compiler INTERFACE)
target_compile_features(lockstep_compiler INTERFACE cxx_std_20)
# Contraction would change results between compilers (numerics: "a fused operation stands in the text or nowhere").
target_compile_options(lockstep_compiler INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                                                   -Werror -ffp-contract=off)
# GCC 12 reports `"text" + std::string` as an overlapping copy (its bug 105651).
target_compile_options(lockstep_compiler INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# Clang counts changes of sign to -Wconversion, GCC does not; one set of rules for both.
target_compile_options(lockstep_compiler INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)
target_link_libraries(lockstep_compiler INTERFACE Threads::Threads)

if(LOCKSTEP_CRASH_POINTS)
  target_compile_definitions(lockstep_compiler INTERFACE LOCKSTEP_CRASH_POINTS)
endif()

if(LOCKSTEP_SANITIZE)
  set(flags -fsanitize=${LOCKSTEP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(lockstep_compiler INTERFACE ${flags})
  target_link_options(lockstep_compiler INTERFACE ${flags})
endif()
