#include "cli/slurm/job_templates.h"

#include "base/file.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = 256 << 10;

}  // namespace

Result<std::string> read_template(const std::string& folder, const std::string& name) {
  if (!folder.empty()) {
    auto own = read_file(folder + "/" + name, kMaxTemplateBytes);
    if (own.ok() || own.error().code != ErrorCode::kNotFound) return own;
  }
  const auto built_in = built_in_template(name);
  if (!built_in) return Error{ErrorCode::kInternal, "no template " + name + " in this build"};
  return std::string(*built_in);
}

}  // namespace lockstep
