// A site's file, and the job script that it makes: whatever it says, options stay lines of #SBATCH,
// and words of the shell stay words.
#include <cstdlib>
#include <sstream>

#include "cli/slurm/job_script.h"
#include "cli/slurm/site.h"
#include "cli/slurm/submission.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)render_template(text, {{"a", "b"}});
  (void)time_minutes(text);
  const auto site = parse_site(text, "site.toml");
  if (!site.ok()) return 0;
  Submission submission;
  submission.program = "/bin/lockstep";
  submission.model = "/m";
  submission.home = "/h";
  submission.time = "60";
  const auto script = job_script(submission, site.value(), "{{directives}}");
  if (!script.ok()) return 0;
  std::istringstream lines(script.value());
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("#SBATCH --")) std::abort();
  }
  return 0;
}
