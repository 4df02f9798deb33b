# lockstep_folder(NAME PUBLIC targets... PRIVATE targets...)
#
# Declares the static library lockstep_NAME of all sources below the current folder. PUBLIC are the folders that it may
# include (and libraries that its public headers show), PRIVATE the libraries that only its sources use.
function(lockstep_folder name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC;PRIVATE")
  set(target lockstep_${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
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
endfunction()
