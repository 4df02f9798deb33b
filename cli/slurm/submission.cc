#include "cli/slurm/submission.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/checked.h"
#include "cli/slurm/job_script.h"
#include "cli/version.h"

namespace lockstep {
namespace {

// How the ranks of all replicas lie on the nodes.
struct Layout {
  std::vector<int> ranks;  // Of each replica.
  int nodes = 1;
  int ranks_per_node = 1;
};

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

Result<Layout> layout_of(const Submission& submission) {
  Layout layout;
  layout.ranks = submission.ranks;
  if (layout.ranks.size() == 1) {
    layout.ranks.assign(static_cast<std::size_t>(submission.replicas), submission.ranks[0]);
  } else if (submission.replicas != 1 &&
             layout.ranks.size() != static_cast<std::size_t>(submission.replicas)) {
    return invalid("--ranks: " + std::to_string(layout.ranks.size()) + " numbers for --replicas " +
                   std::to_string(submission.replicas));
  }
  const int total = std::accumulate(layout.ranks.begin(), layout.ranks.end(), 0);
  const int wanted = submission.ranks_per_node.value_or(0);
  layout.nodes = submission.nodes.value_or(wanted > 0 ? ceil_div(total, wanted) : 1);
  layout.ranks_per_node = wanted > 0 ? wanted : ceil_div(total, layout.nodes);
  if (layout.nodes * layout.ranks_per_node < total) {
    return invalid("--nodes: " + std::to_string(layout.nodes) + " nodes with " +
                   std::to_string(layout.ranks_per_node) + " ranks each have no room for " +
                   std::to_string(total) + " ranks");
  }
  return layout;
}

std::string option_name(const std::string& option) { return option.substr(0, option.find('=')); }

// The lines of #SBATCH, each option once: what the user says wins over the site's defaults.
class Directives {
 public:
  explicit Directives(const SlurmSite& site) : site_(site) {}

  void add(const std::string& name, const std::string& value) {
    if (!value.empty()) add(name + "=" + value);
  }
  void add(const std::string& option) {
    if (status_.ok()) status_ = check(option);
    std::erase_if(options_,
                  [&](const std::string& one) { return option_name(one) == option_name(option); });
    options_.push_back(option);
  }
  Result<std::string> text() const {
    if (!status_.ok()) return status_.error();
    std::string text;
    for (const std::string& option : options_) text += "#SBATCH " + option + "\n";
    if (!text.empty()) text.pop_back();
    return text;
  }

 private:
  Status check(const std::string& option) const {
    const bool is_plain = std::ranges::all_of(option, [](unsigned char c) {
      return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '#';
    });
    if (!is_plain || !option.starts_with("--")) {
      return invalid("\"" + option +
                     "\" cannot stand in a line of #SBATCH: no spaces, quotes or #");
    }
    if (std::ranges::find(site_.forbidden, option_name(option)) != site_.forbidden.end()) {
      return invalid(option_name(option) + ": this site forbids it (" + site_.path + ")");
    }
    return {};
  }

  const SlurmSite& site_;
  std::vector<std::string> options_;
  Status status_;
};

Result<std::string> directives_of(const Submission& submission, const SlurmSite& site,
                                  const Layout& layout) {
  Directives lines(site);
  lines.add("--job-name", submission.name);
  lines.add("--partition", submission.partition.empty() ? site.partition : submission.partition);
  lines.add("--account", submission.account.empty() ? site.account : submission.account);
  lines.add("--qos", submission.qos.empty() ? site.qos : submission.qos);
  lines.add("--constraint", site.constraint);
  lines.add("--nodes", std::to_string(layout.nodes));
  lines.add("--ntasks-per-node", std::to_string(layout.ranks_per_node));
  lines.add("--cpus-per-task", std::to_string(submission.cpus_per_rank));
  lines.add("--mem", submission.memory);
  if (submission.gpus_per_rank > 0) {
    lines.add("--gpus-per-node", std::to_string(submission.gpus_per_rank * layout.ranks_per_node));
  }
  lines.add("--time", submission.time);
  lines.add("--signal", "B:USR1@" + std::to_string(site.signal_seconds));
  lines.add("--requeue");
  lines.add("--no-kill");
  lines.add("--open-mode", "append");
  if (!submission.batch.empty()) {
    lines.add("--array", "0-" + std::to_string(submission.shards - 1));
    lines.add("--output", submission.out + "/task-%a.log");
  } else {
    lines.add("--output", submission.state + "/job-%j.log");
  }
  for (const std::string& option : site.required) lines.add(option);
  for (const std::string& option : submission.sbatch) lines.add(option);
  return lines.text();
}

std::string numbers_text(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text += (text.empty() ? "" : " ") + std::to_string(number);
  return text;
}

// Minutes after its start at which a job's successor may begin; -1: it has none.
Result<int> successor_minutes(const Submission& submission, const SlurmSite& site) {
  if (!submission.has_successor || submission.time.empty() || !submission.batch.empty()) return -1;
  LOCKSTEP_TRY_ASSIGN(const int limit, time_minutes(submission.time), "--time");
  return std::max(0, limit - site.overlap_minutes);
}

std::vector<std::string> step_options(const Submission& submission, const SlurmSite& site) {
  std::vector<std::string> options = {"--mpi=" + site.mpi};
  if (submission.gpus_per_rank > 0) {
    const std::string gpus = std::to_string(submission.gpus_per_rank);
    options.push_back("--gpus-per-task=" + gpus);
    options.push_back(submission.gpus_per_rank == 1 ? "--gpu-bind=single:1"
                                                    : "--gpu-bind=per_task:" + gpus);
  }
  options.insert(options.end(), site.srun.begin(), site.srun.end());
  return options;
}

}  // namespace

std::string template_name(const Submission& submission) {
  return submission.batch.empty() ? "serve.sbatch" : "batch.sbatch";
}

Result<std::string> job_script(const Submission& asked, const SlurmSite& site,
                               std::string_view job_template) {
  Submission submission = asked;
  const std::string root = site.state_root.empty() ? asked.home + "/.lockstep" : site.state_root;
  if (submission.state.empty()) submission.state = root + "/" + submission.name;
  if (submission.registry.empty()) submission.registry = asked.home + "/.lockstep/jobs";
  LOCKSTEP_TRY_ASSIGN(const Layout layout, layout_of(submission), "submit");
  LOCKSTEP_TRY_ASSIGN(const std::string directives, directives_of(submission, site, layout),
                      "submit");
  LOCKSTEP_TRY_ASSIGN(const int successor, successor_minutes(submission, site), "submit");
  std::string setup = site.setup;
  while (setup.ends_with('\n')) setup.pop_back();
  auto script = render_template(
      job_template, {{"directives", directives},
                     {"version", kProgramVersion},
                     {"program", shell_word(submission.program)},
                     {"model", shell_word(submission.model)},
                     {"state", shell_word(submission.state)},
                     {"registry", shell_word(submission.registry)},
                     {"interface", shell_word(site.interface)},
                     {"scratch", shell_word(site.scratch)},
                     {"setup", setup.empty() ? ":  # The site has no lines of its own." : setup},
                     {"replicas", numbers_text(layout.ranks)},
                     {"ranks_per_node", std::to_string(layout.ranks_per_node)},
                     {"cpus_per_rank", std::to_string(submission.cpus_per_rank)},
                     {"step_options", shell_words(step_options(submission, site))},
                     {"gateway_options", shell_words(submission.gateway_options)},
                     {"worker_options", shell_words(submission.worker_options)},
                     {"successor_minutes", std::to_string(successor)},
                     {"overlap_minutes", std::to_string(site.overlap_minutes)},
                     {"signal_seconds", std::to_string(site.signal_seconds)},
                     {"drain_seconds", std::to_string(site.drain_seconds)},
                     {"max_restarts", std::to_string(site.max_restarts)},
                     {"checks", submission.has_checks ? "1" : "0"},
                     {"batch", shell_word(submission.batch)},
                     {"out", shell_word(submission.out)}});
  if (!script.ok()) return std::move(script).error().with_context(template_name(submission));
  return script;
}

}  // namespace lockstep
