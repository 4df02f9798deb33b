# lockstep_embed_templates(TARGET FILES...): compiles files of slurm/ into TARGET, as built_in_template() of
# cli/slurm/job_templates.h gives them.
function(lockstep_embed_templates target)
  set(cases "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" text)
    cmake_path(GET file FILENAME name)
    string(APPEND cases "  if (name == \"${name}\") {\n    return R\"__sbatch(${text})__sbatch\";\n  }\n")
  endforeach()
  set(source "${CMAKE_CURRENT_BINARY_DIR}/built_in_templates.cc")
  file(CONFIGURE OUTPUT "${source}" @ONLY CONTENT [[
#include "cli/slurm/job_templates.h"

namespace lockstep {

std::optional<std::string_view> built_in_template(std::string_view name) {
@cases@  return std::nullopt;
}

}  // namespace lockstep
]])
  target_sources(${target} PRIVATE "${source}")
endfunction()
