#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"

namespace lockstep {
namespace {

struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
};

struct WorkOptions {
  std::string input;
  int threads = 1;
  std::vector<int> list;
  std::string prompt;
  std::string chat;
  std::string source;  // In an option group.
};

void add_work(CLI::App& root, CommandContext& context, const std::function<Result<int>()>& fail) {
  const auto options = std::make_shared<WorkOptions>();
  CLI::App& command =
      add_command(root, "work", {.summary = "works.", .usages = {"lockstep work IN"}});
  add_text(command, "IN", options->input, "Input.")->required()->group("Required");
  add_integer(command, "--threads", options->threads, {1, 64}, "Threads.")->group("Parallelism");
  add_list(command, "--list", options->list, {0, 9}, "List.");
  auto* prompt = add_text(command, "--prompt", options->prompt, "Prompt.");
  add_text(command, "--chat", options->chat, "Chat.")->excludes(prompt);
  CLI::App& group = *command.add_option_group("Sources");
  add_text(group, "--source", options->source, "Source.");
  add_text(group, "--other", options->source, "Another source.");
  group.require_option(0, 1);
  add_json_flag(command, context);
  set_action(command, context, [options, fail]() -> Result<int> {
    if (fail) return fail();
    const Status printed = print_text(options->input + " " + std::to_string(options->threads) +
                                      " " + std::to_string(options->list.size()) + " " +
                                      options->prompt + options->chat + options->source + "\n");
    return printed.ok() ? Result<int>(0) : Result<int>(printed.error());
  });
}

Outcome run(std::vector<const char*> arguments, const std::function<Result<int>()>& fail = {}) {
  CommandContext context;
  const auto root = make_root(context);
  add_work(*root, context, fail);
  CLI::App& chain = add_command(*root, "chain", {.summary = "chains.", .usages = {}});
  CLI::App& verify = add_command(chain, "verify", {.summary = "verifies.", .usages = {}});
  set_action(verify, context, [] { return 3; });
  chain.require_subcommand(0, 1);
  set_action(chain, context, [] { return 4; });
  arguments.insert(arguments.begin(), "lockstep");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.status =
      run_application(*root, context, static_cast<int>(arguments.size()), arguments.data());
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

// A variable of the environment, for one test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : path_(testing::TempDir() + "application_test_" +
              testing::UnitTest::GetInstance()->current_test_info()->name() + ".toml") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

TEST(RunApplication, GivesTheActionsStatus) {
  EXPECT_EQ(run({"chain", "verify"}).status, 3);
  EXPECT_EQ(run({"chain"}).status, 4);
  const Outcome outcome = run({"work", "in", "--threads", "2"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "in 2 0 \n");
  EXPECT_EQ(outcome.err, "");
}

TEST(RunApplication, PrintsAnErrorAsOneLineWithTheStatusOfItsCode) {
  const auto fail = [] { return Result<int>(Error{ErrorCode::kCorrupt, "leaf 17:\nbad"}); };
  const Outcome outcome = run({"work", "in"}, fail);
  EXPECT_EQ(outcome.status, 65);
  EXPECT_EQ(outcome.err, "lockstep work: leaf 17: bad\n");
  EXPECT_EQ(outcome.out, "");
}

TEST(RunApplication, PrintsAnErrorAsOneJsonObjectWhenAsked) {
  const auto fail = [] { return Result<int>(Error{ErrorCode::kCorrupt, "leaf \"17\""}); };
  const Outcome outcome = run({"work", "in", "--json"}, fail);
  EXPECT_EQ(outcome.status, 65);
  EXPECT_EQ(
      outcome.err,
      "{\"error\":{\"code\":\"corrupt\",\"exit_status\":65,\"message\":\"leaf \\\"17\\\"\"}}\n");
  EXPECT_EQ(outcome.out, "");
}

TEST(RunApplication, TurnsAStrayExceptionIntoAnError) {
  const auto fail = []() -> Result<int> { throw std::runtime_error("from a library"); };
  const Outcome outcome = run({"work", "in"}, fail);
  EXPECT_EQ(outcome.status, 70);
  EXPECT_EQ(outcome.err, "lockstep work: unexpected exception: from a library\n");
}

TEST(RunApplication, SaysWhatIsWrongWithACommandLine) {
  const std::string hint = "lockstep work: hint: `lockstep work --help` lists what there is\n";
  const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
      {{}, "lockstep: expected a subcommand: work, chain\n"},
      {{"wrok"}, "lockstep: no subcommand \"wrok\"; did you mean work?\n"},
      {{"bench"}, "lockstep: no subcommand \"bench\"; there are: work, chain\n"},
      {{"chain", "prove"}, "lockstep chain: no subcommand \"prove\"; there are: verify\n"},
      {{"work"}, "lockstep work: IN is required\n"},
      {{"work", "in", "more"}, "lockstep work: unexpected argument \"more\"\n"},
      {{"work", "in", "--thread", "2"},
       "lockstep work: unexpected argument \"--thread\"; did you mean --threads?\n"},
      {{"work", "in", "--threads", "8x"},
       "lockstep work: --threads: expected an integer in [1, 64], got \"8x\"\n"},
      {{"work", "in", "--threads"}, "lockstep work: --threads: expected a value (N)\n"},
      {{"work", "in", "--threads", "1", "--threads=1"},
       "lockstep work: --threads: given 2 times, expected once\n"},
      {{"work", "in", "--chat", "a", "--prompt", "b"},
       "lockstep work: --prompt and --chat exclude each other\n"},
      {{"work", "in", "--source", "a", "--other", "b"},
       "lockstep work: expected one of --source, --other; got --source, --other\n"},
      {{"work", "in", "--config", "/no/such.toml"},
       "lockstep work: --config: cannot read \"/no/such.toml\"\n"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = run(arguments);
    const bool configuration = message.find("--config") != std::string::npos;
    EXPECT_EQ(outcome.status, configuration ? 78 : 64) << message;
    EXPECT_EQ(outcome.err.substr(0, outcome.err.find('\n') + 1), message);
    EXPECT_EQ(outcome.out, "") << message;
  }
}

TEST(RunApplication, HelpAndVersionSucceedWhateverElseIsWrong) {
  const Outcome help = run({"work", "--threads", "2", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(help.out.rfind("lockstep work: works.\n\nUsage:\n  lockstep work IN\n", 0), 0U);
  const Outcome version = run({"work", "--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out.rfind("lockstep 0.", 0), 0U);
}

TEST(RunApplication, FlagsWinOverEnvironmentAndEnvironmentOverTheFile) {
  const ConfigFile file("[work]\nthreads = 3\n");
  EXPECT_EQ(run({"work", "in", "--config", file.path()}).out, "in 3 0 \n");
  const Variable variable("LOCKSTEP_THREADS", "4");
  EXPECT_EQ(run({"work", "in", "--config", file.path()}).out, "in 4 0 \n");
  EXPECT_EQ(run({"work", "in", "--config", file.path(), "--threads", "5"}).out, "in 5 0 \n");
}

TEST(RunApplication, FindsTheFileByTheEnvironment) {
  const ConfigFile file("threads = 3\nlist = [1, 2]\n");
  const Variable variable("LOCKSTEP_CONFIG", file.path());
  EXPECT_EQ(run({"work", "in"}).out, "in 3 2 \n");
}

TEST(RunApplication, NamesWhereABadValueCameFrom) {
  const ConfigFile file("[work]\nthreads = \"8x\"\n");
  const Outcome outcome = run({"work", "in", "--config", file.path()});
  EXPECT_EQ(outcome.status, 78);
  EXPECT_EQ(outcome.err, std::string("lockstep work: --threads: expected an integer in [1, 64], "
                                     "got \"8x\" (from ") +
                             file.path() + ":2)\n");
  const Variable variable("LOCKSTEP_THREADS", "0");
  EXPECT_EQ(run({"work", "in"}).err,
            "lockstep work: --threads: expected an integer in [1, 64], got \"0\" (from "
            "LOCKSTEP_THREADS)\n");
}

TEST(RunApplication, RefusesUnknownKeysByName) {
  for (const char* text : {"[work]\nthread = 3\n", "thread = 3\n", "[wrok]\nthreads = 3\n",
                           "config = \"x\"\n", "[chain]\nthreads = 3\n"}) {
    const ConfigFile file(text);
    const Outcome outcome = run({"work", "in", "--config", file.path()});
    EXPECT_EQ(outcome.status, 78) << text;
    EXPECT_NE(outcome.err.find("there is no option \""), std::string::npos) << outcome.err;
    EXPECT_EQ(run({"work", "--help", "--config", file.path()}).status, 0);
  }
}

TEST(RunApplication, LetsAFlagReplaceWhatItExcludes) {
  const ConfigFile file("[work]\nprompt = \"from the file\"\n");
  EXPECT_EQ(run({"work", "in", "--config", file.path()}).out, "in 1 0 from the file\n");
  EXPECT_EQ(run({"work", "in", "--config", file.path(), "--chat", "hi"}).out, "in 1 0 hi\n");
}

TEST(RunApplication, TreatsAnOptionGroupAsPartOfItsSubcommand) {
  const std::string help = run({"work", "--help"}).out;
  EXPECT_NE(help.find("\nSources:\n  --source TEXT           Source.\n"), std::string::npos)
      << help;
  EXPECT_EQ(help.find("Subcommands"), std::string::npos);
  EXPECT_EQ(run({"work", "in", "--source", "s"}).out, "in 1 0 s\n");
  EXPECT_EQ(
      run({"work", "in", "--source", "s", "--sorce"})
          .err.rfind("lockstep work: unexpected argument \"--sorce\"; did you mean --source?\n", 0),
      0U);
  const ConfigFile file("[work]\nsource = \"f\"\n");
  EXPECT_EQ(run({"work", "in", "--config", file.path()}).out, "in 1 0 f\n");
  EXPECT_EQ(run({"work", "in", "--config", file.path(), "--other", "o"}).out, "in 1 0 o\n");
}

TEST(RunApplication, OnlyRankZeroAnswersAWrongCommandLine) {
  const Variable variable("OMPI_COMM_WORLD_RANK", "1");
  const Outcome outcome = run({"wrok"});
  EXPECT_EQ(outcome.status, 64);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(run({"--help"}).out, "");
}

}  // namespace
}  // namespace lockstep
