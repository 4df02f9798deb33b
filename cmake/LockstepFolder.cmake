if(LOCKSTEP_PRECOMPILE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  file(CONFIGURE OUTPUT precompiled.cc CONTENT "// Gives the precompiled header a library.\n")
  add_library(lockstep_precompiled STATIC "${CMAKE_CURRENT_BINARY_DIR}/precompiled.cc")
  target_link_libraries(lockstep_precompiled PRIVATE lockstep_compiler nlohmann_json::nlohmann_json)
  target_precompile_headers(
    lockstep_precompiled PRIVATE <algorithm> <array> <functional> <map> <memory> <nlohmann/json.hpp>
    <optional> <span> <string> <string_view> <unordered_map> <utility> <vector>)
  if(LOCKSTEP_FUZZ)
    target_compile_options(lockstep_precompiled PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endif()

# lockstep_folder(NAME PUBLIC targets... PRIVATE targets... [EXCLUDE regex] [PRECOMPILED])
#
# Declares the static library lockstep_NAME of all sources below the current folder. PUBLIC are the folders that it may
# include (and libraries that its public headers show), PRIVATE the libraries that only its sources use.
#
# EXCLUDE is a pattern of sources below the folder that are not part of its library.
#
# PRECOMPILED says that most sources include the headers below, which are then read once for all folders. Sources name
# them all the same: the preset `lint` compiles without, and so does GCC, which warns of the standard library's own code
# when it comes from a precompiled header.
function(lockstep_folder name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PRECOMPILED" "EXCLUDE" "PUBLIC;PRIVATE")
  set(target lockstep_${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  if(arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${arg_EXCLUDE}")
  endif()
  if(sources)
    add_library(${target} STATIC ${sources})
    set(public PUBLIC)
    set(private PRIVATE)
  else()
    add_library(${target} INTERFACE)  # Headers alone.
    set(public INTERFACE)
    set(private INTERFACE)
  endif()
  target_include_directories(${target} ${public} "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} ${public} lockstep_compiler ${arg_PUBLIC} ${private} ${arg_PRIVATE})
  if(LOCKSTEP_FUZZ AND sources)  # What libFuzzer steers by.
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(TARGET lockstep_precompiled AND arg_PRECOMPILED)
    target_precompile_headers(${target} REUSE_FROM lockstep_precompiled)
  endif()
endfunction()
