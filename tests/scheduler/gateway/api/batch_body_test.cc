#include "scheduler/gateway/api/batch_body.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

RequestId id_of(char digit) { return RequestId::parse(std::string(32, digit)).value(); }

BatchRecord make_batch() {
  BatchRecord batch;
  batch.id = id_of('1');
  batch.endpoint = "/v1/completions";
  batch.input_file = id_of('2');
  batch.output_file = id_of('3');
  batch.completion_window = "24h";
  batch.created_ms = 1'000'500;
  batch.expires_ms = 87'400'500;
  return batch;
}

TEST(BatchBody, HasAllFieldsOfOpenAi) {
  BatchRecord batch = make_batch();
  EXPECT_EQ(batch_body(batch).dump(),
            R"({"id":"batch_11111111111111111111111111111111","object":"batch",)"
            R"("endpoint":"/v1/completions","errors":null,)"
            R"("input_file_id":"file-22222222222222222222222222222222","completion_window":"24h",)"
            R"("status":"validating","output_file_id":null,"error_file_id":null,"created_at":1000,)"
            R"("in_progress_at":null,"expires_at":87400,"finalizing_at":null,"completed_at":null,)"
            R"("failed_at":null,"expired_at":null,"cancelling_at":null,"cancelled_at":null,)"
            R"("request_counts":{"total":0,"completed":0,"failed":0},"metadata":null})");
  batch.state = BatchState::kCompleted;
  batch.metadata = {{"a", "b"}};
  EXPECT_EQ(batch_body(batch)["output_file_id"], "file-33333333333333333333333333333333");
  EXPECT_EQ(batch_body(batch)["metadata"].dump(), R"({"a":"b"})");
}

TEST(BatchBody, TellsTheLinesThatAreWrong) {
  BatchRecord batch = make_batch();
  batch.state = BatchState::kFailed;
  batch.errors = {{"duplicate_custom_id", "twice", "custom_id", 7}, {"empty", "no line", "", 0}};
  EXPECT_EQ(batch_body(batch)["errors"].dump(),
            R"({"object":"list","data":[{"code":"duplicate_custom_id","message":"twice",)"
            R"("param":"custom_id","line":7},{"code":"empty","message":"no line","param":null,)"
            R"("line":null}]})");
}

TEST(FileListBody, NamesItsEnds) {
  FileRecord file;
  file.id = id_of('4');
  file.purpose = "batch";
  file.filename = "a.jsonl";
  file.bytes = 12;
  EXPECT_EQ(file_list_body({{file}, true}),
            R"({"object":"list","data":[{"id":"file-44444444444444444444444444444444",)"
            R"("object":"file","bytes":12,"created_at":0,"expires_at":null,"filename":"a.jsonl",)"
            R"("purpose":"batch","status":"processed"}],)"
            R"("first_id":"file-44444444444444444444444444444444",)"
            R"("last_id":"file-44444444444444444444444444444444","has_more":true})");
  EXPECT_EQ(file_list_body({}),
            R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
}

TEST(ParseBatchRequest, NamesTheFieldThatIsWrong) {
  const auto parse = [](const std::string& change, const std::string& to) {
    std::string body =
        R"({"input_file_id":"file-22222222222222222222222222222222",)"
        R"("endpoint":"/v1/completions","completion_window":"24h","metadata":{"a":"b"}})";
    if (!change.empty()) body.replace(body.find(change), change.size(), to);
    const auto parsed = parse_batch_request(body);
    const auto* error = std::get_if<ApiError>(&parsed);
    return error == nullptr ? std::string() : error->param;
  };
  EXPECT_EQ(parse("", ""), "");
  EXPECT_EQ(parse("completions", "embeddings"), "endpoint");
  EXPECT_EQ(parse("file-2", "file_2"), "input_file_id");
  EXPECT_EQ(parse("24h", "24x"), "completion_window");
  EXPECT_EQ(parse("\"b\"", "1"), "metadata");
  EXPECT_EQ(parse("\"metadata\"", "\"more\""), "more");
}

}  // namespace
}  // namespace lockstep
