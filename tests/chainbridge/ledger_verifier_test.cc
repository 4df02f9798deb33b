#include "chainbridge/ledger_verifier.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "base/canonical_json.h"

#include "tests/chainbridge/ledger_fixture.h"
#include "tests/chainbridge/ledger_rewriter.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

class VerifyLedger : public LedgerFixture {
 protected:
  // Replaces one value in the payload of record `sequence` and makes the frames right again: what
  // is left to notice is that the field does not follow from the others.
  void forge_payload(std::uint64_t sequence, const std::function<void(Json&)>& edit) {
    const auto file = File::open_read(ledger_file(directory_));
    ASSERT_TRUE(file.ok());
    FrameReader reader(file.value(), file.value().size().value());
    Bytes forged;
    Digest head;
    for (std::uint64_t number = 0;; ++number) {
      const auto frame = reader.next();
      ASSERT_TRUE(frame.ok());
      if (!frame.value()) break;
      std::string payload = frame.value()->payload;
      if (number == sequence) {
        Json json = Json::parse(payload);
        edit(json);
        payload = json.dump();
      }
      const Bytes bytes = encode_frame(head, number, payload);
      head = record_hash(head, number, payload);
      forged.insert(forged.end(), bytes.begin(), bytes.end());
    }
    replace_bytes(as_text(forged));
  }
};

class FindJob : public LedgerFixture {};
class LoadJob : public LedgerFixture {};

TEST_F(VerifyLedger, CountsWhatIsThere) {
  record_jobs(5, 2);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().num_records, 1U + 5U + 5U + 3U);
  EXPECT_EQ(report.value().jobs.size(), 5U);
  EXPECT_EQ(report.value().num_finished(), 5U);
  EXPECT_EQ(report.value().rollups.size(), 3U);
  EXPECT_EQ(report.value().num_bytes, bytes().size());
  EXPECT_EQ(report.value().torn_bytes, 0U);
  EXPECT_EQ(report.value().jobs[3].finished->leaf.index, 1U);
  EXPECT_EQ(report.value().jobs[3].finished->rollup, 1U);
  EXPECT_EQ(report.value().jobs[3].finished->leaf.completed_at, 1'700'000'000U);
}

TEST_F(VerifyLedger, ReadsWhileAnotherWrites) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
  EXPECT_TRUE(verify_ledger(directory_).ok());
}

TEST_F(VerifyLedger, SaysWhatIsNotThere) {
  const auto missing = verify_ledger(temporary_ / "nowhere");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("nowhere"));
}

TEST_F(VerifyLedger, ReportsATornTailAndLeavesItThere) {
  record_jobs(1);
  const std::string whole = bytes();
  replace_bytes(whole.substr(0, whole.size() - 5));
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_GT(report.value().torn_bytes, 0U);
  EXPECT_EQ(report.value().pending.size(), 1U);
  EXPECT_EQ(bytes().size(), whole.size() - 5);
}

// Every kShares-th byte, so that each test stays short.
class VerifyLedgerFlippedByte : public VerifyLedger, public ::testing::WithParamInterface<int> {
 public:
  static constexpr std::size_t kShares = 8;
};
INSTANTIATE_TEST_SUITE_P(Share, VerifyLedgerFlippedByte,
                         ::testing::Range(0, static_cast<int>(VerifyLedgerFlippedByte::kShares)));

TEST_P(VerifyLedgerFlippedByte, IsRefused) {
  record_jobs(1);
  const std::string whole = bytes();
  for (auto at = static_cast<std::size_t>(GetParam()); at < whole.size(); at += kShares) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at / kShares % 8)));
    replace_bytes(flipped);
    const auto report = verify_ledger(directory_);
    ASSERT_FALSE(report.ok()) << at;
    ASSERT_EQ(report.error().code, ErrorCode::kCorrupt) << report.error().message;
    ASSERT_THAT(report.error().message, HasSubstr("record "));
  }
}

// A record that is missing, doubled or in another place: all bytes are genuine.
TEST_F(VerifyLedger, RefusesRecordsOutOfTheirPlace) {
  record_jobs(2, 1);
  const std::string whole = bytes();
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  const std::uint64_t first = report.value().jobs[0].place.offset;
  const std::uint64_t second = report.value().jobs[0].finished->place.offset;
  const std::string record = whole.substr(first, second - first);
  replace_bytes(whole.substr(0, first) + whole.substr(second));
  EXPECT_THAT(verify_ledger(directory_).error().message, HasSubstr("record 1 at byte"));
  replace_bytes(whole.substr(0, second) + record + whole.substr(second));
  EXPECT_THAT(verify_ledger(directory_).error().message, HasSubstr("record 2 at byte"));
}

TEST_F(VerifyLedger, RecomputesEveryFieldOfEveryRecord) {
  record_jobs(1);
  const std::string whole = bytes();
  const std::vector<std::pair<std::uint64_t, std::vector<const char*>>> derived = {
      {1, {"job_id", "prompt_hash", "sampling_hash", "spec_hash"}},
      {2, {"job_id", "spec_hash", "output_hash", "trace_root", "result_hash"}},
      {3, {"contract", "operator", "previous", "root", "data_commitment", "header_hash"}}};
  for (const auto& [sequence, fields] : derived) {
    for (const char* field : fields) {
      forge_payload(sequence, [&](Json& json) { json.at(field) = std::string(64, 'a'); });
      const auto report = verify_ledger(directory_);
      ASSERT_FALSE(report.ok()) << field;
      EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(report.error().message, HasSubstr(field));
      EXPECT_THAT(report.error().message, HasSubstr("record " + std::to_string(sequence)));
      replace_bytes(whole);
    }
  }
}

TEST_F(VerifyLedger, NoticesEveryFactThatIsNotHashed) {
  record_jobs(1);
  const std::string whole = bytes();
  const std::vector<std::tuple<std::uint64_t, const char*, Json, const char*>> edits = {
      {1, "prompt_ids", Json::array({1, 5, 6}), "prompt_hash"},
      {1, "model_id", std::string(64, 'b'), "spec_hash"},
      {1, "salt", std::string(64, 'b'), "prompt_hash"},
      {1, "tenant", "else", "job_id"},
      {2, "completion_ids", Json::array({100, 101, 103}), "output_hash"},
      {2, "finish_reason", 0, "output_hash"},
      {2, "token_digests",
       Json::array({std::string(64, 'b'), std::string(64, 'b'), std::string(64, 'b')}),
       "trace_root"},
      {2, "assignment", 0, "assignment"},
      {2, "completed_at", 5, "root"},  // Noticed by the rollup.
      {3, "chain_id", 1, "chain_id"},
      {3, "sequence", 1, "sequence"},
      {3, "count", 2, "count"},
      {0, "format", 2, "format"}};
  for (const auto& [sequence, field, value, named] : edits) {
    forge_payload(sequence, [&](Json& json) { json.at(field) = value; });
    const auto report = verify_ledger(directory_);
    ASSERT_FALSE(report.ok()) << field;
    EXPECT_THAT(report.error().message, HasSubstr(named)) << field;
    replace_bytes(whole);
  }
}

TEST_F(VerifyLedger, NoticesEveryFieldOfTheSampling) {
  record_jobs(1);
  const std::string whole = bytes();
  Json names;
  forge_payload(1, [&](Json& json) { names = json.at("sampling"); });
  ASSERT_EQ(names.size(), 15U);
  for (const auto& [name, value] : names.items()) {
    replace_bytes(whole);
    forge_payload(1, [&, &key = name, &old = value](Json& json) {
      Json& field = json.at("sampling").at(key);
      if (old.is_boolean()) field = !old.get<bool>();
      if (old.is_number()) field = key == "trace" ? 0 : old.get<std::uint64_t>() - 1;
      if (old.is_array()) field = Json::array();
    });
    const auto report = verify_ledger(directory_);
    ASSERT_FALSE(report.ok()) << name;
    EXPECT_THAT(report.error().message, HasSubstr("sampling_hash")) << name;
  }
}

TEST_F(VerifyLedger, RefusesAnotherSpellingOfARecord) {
  record_jobs(1);
  const std::string whole = bytes();
  forge_payload(2, [](Json& json) { json["remark"] = "hidden"; });
  EXPECT_THAT(verify_ledger(directory_).error().message, HasSubstr("canonical"));
  replace_bytes(whole);
  forge_payload(1, [](Json& json) { json.at("ranks").at(0)["remark"] = 1; });
  EXPECT_THAT(verify_ledger(directory_).error().message, HasSubstr("canonical"));
  replace_bytes(whole);
  forge_payload(
      2, [](Json& json) { json.at("job_id") = "0x" + json.at("job_id").get<std::string>(); });
  EXPECT_THAT(verify_ledger(directory_).error().message, HasSubstr("canonical"));
}

TEST_F(VerifyLedger, NamesAFieldThatIsMissingOrOfAnotherType) {
  record_jobs(1);
  const std::string whole = bytes();
  for (std::uint64_t sequence = 0; sequence < 4; ++sequence) {
    Json payload;
    forge_payload(sequence, [&](Json& json) { payload = json; });
    for (const auto& item : payload.items()) {
      for (const bool missing : {true, false}) {
        replace_bytes(whole);
        forge_payload(sequence, [&](Json& json) {
          if (missing) json.erase(item.key());
          if (!missing)
            json[item.key()] = item.value().is_object() ? Json(1) : Json::object({{"x", -1}});
        });
        const auto report = verify_ledger(directory_);
        ASSERT_FALSE(report.ok()) << item.key();
        ASSERT_THAT(report.error().message, HasSubstr("\"" + item.key() + "\"")) << missing;
      }
    }
  }
}

// The facts decide, not the hashes: one who owns the file can forge it consistently. Only a rerun
// tells (rerun_test.cc).
TEST_F(VerifyLedger, AcceptsAForgeryThatIsConsistent) {
  record_jobs(3, 2);
  const auto before = verify_ledger(directory_);
  ASSERT_TRUE(before.ok());
  const Status forged = LedgerRewriter::rewrite(
      ledger_file(directory_), [](std::uint64_t sequence, LedgerRecord& record) {
        if (sequence == 4) std::get<ResultRecord>(record).result.completion_ids[1] = 7;
      });
  ASSERT_TRUE(forged.ok()) << forged.error().message;
  const auto after = verify_ledger(directory_);
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_EQ(after.value().jobs[1].assigned.job_id, before.value().jobs[1].assigned.job_id);
  EXPECT_NE(after.value().jobs[1].finished->hashes, before.value().jobs[1].finished->hashes);
  EXPECT_EQ(after.value().jobs[2].finished->hashes, before.value().jobs[2].finished->hashes);
  EXPECT_NE(after.value().rollups[1].header_hash, before.value().rollups[1].header_hash);
}

TEST_F(LoadJob, GivesBackWhatWasRecorded) {
  record_jobs(2);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  const auto job = load_job(report.value(), report.value().jobs[1]);
  ASSERT_TRUE(job.ok()) << job.error().message;
  const Assignment expected = sample_assignment(1);
  const SamplingParams& sampling = job.value().assignment.sampling;
  EXPECT_EQ(job.value().assignment.prompt_ids, expected.prompt_ids);
  EXPECT_EQ(job.value().assignment.ranks, expected.ranks);
  EXPECT_EQ(job.value().assignment.salt, expected.salt);
  EXPECT_EQ(sampling_hash(sampling), sampling_hash(expected.sampling));
  EXPECT_EQ(sampling.stop, expected.sampling.stop);
  EXPECT_EQ(sampling.logit_bias, expected.sampling.logit_bias);
  EXPECT_EQ(job.value().result, sample_result(3, 101));
}

TEST_F(LoadJob, RefusesAFileThatChangedSinceItWasVerified) {
  record_jobs(1);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  std::string changed = bytes();
  changed[report.value().jobs[0].place.offset + 40] ^= 1;
  replace_bytes(changed);
  const auto job = load_job(report.value(), report.value().jobs[0]);
  ASSERT_FALSE(job.ok());
  EXPECT_EQ(job.error().code, ErrorCode::kCorrupt);
}

TEST_F(FindJob, TakesIdsAndSequences) {
  record_jobs(2);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  const LedgerJob* second = &report.value().jobs[1];
  EXPECT_EQ(find_job(report.value(), "3").value(), second);
  EXPECT_EQ(find_job(report.value(), second->assigned.job_id.hex()).value(), second);
  EXPECT_EQ(find_job(report.value(), "0x" + second->assigned.job_id.hex()).value(), second);
  EXPECT_EQ(find_job(report.value(), "2").error().code,
            ErrorCode::kNotFound);  // A result's record.
  EXPECT_EQ(find_job(report.value(), std::string(64, 'a')).error().code, ErrorCode::kNotFound);
  for (const char* text : {"", "x", "3 ", "-1", "0x3", "99999999999999999999"}) {
    EXPECT_EQ(find_job(report.value(), text).error().code, ErrorCode::kInvalidArgument) << text;
  }
}

LedgerReport report_of(std::uint64_t jobs, std::uint8_t head) {
  LedgerReport report;
  report.head.bytes[0] = head;
  report.jobs.resize(jobs);
  for (std::uint64_t i = 0; i < jobs; ++i) {
    if (i % 3 != 2) report.jobs[i].finished.emplace();
  }
  return report;
}

TEST(SelectJobs, TakesFinishedJobsWithoutRepetition) {
  const std::vector<std::uint64_t> chosen = select_jobs(report_of(90, 1), 20);
  const std::set<std::uint64_t> distinct(chosen.begin(), chosen.end());
  EXPECT_EQ(chosen.size(), 20U);
  EXPECT_EQ(distinct.size(), 20U);
  for (const std::uint64_t job : chosen) EXPECT_NE(job % 3, 2U);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
}

TEST(SelectJobs, TakesAllWhenFewerAreThere) {
  EXPECT_EQ(select_jobs(report_of(6, 1), 100), (std::vector<std::uint64_t>{0, 1, 3, 4}));
  EXPECT_TRUE(select_jobs(report_of(6, 1), 0).empty());
  EXPECT_TRUE(select_jobs(report_of(0, 1), 5).empty());
}

TEST(SelectJobs, FollowsTheHead) {
  EXPECT_EQ(select_jobs(report_of(300, 1), 10), select_jobs(report_of(300, 1), 10));
  EXPECT_NE(select_jobs(report_of(300, 1), 10), select_jobs(report_of(300, 2), 10));
}

// 256 heads choose 2 of 4: each of the 6 pairs is taken, none much more often than 256 / 6.
TEST(SelectJobs, TakesEveryPairAboutAsOften) {
  std::map<std::vector<std::uint64_t>, int> times;
  for (int head = 0; head < 256; ++head) {
    ++times[select_jobs(report_of(6, static_cast<std::uint8_t>(head)), 2)];
  }
  EXPECT_EQ(times.size(), 6U);
  for (const auto& [pair, count] : times) {
    EXPECT_GT(count, 20) << pair[0] << "," << pair[1];
    EXPECT_LT(count, 70) << pair[0] << "," << pair[1];
  }
}

}  // namespace
}  // namespace lockstep
