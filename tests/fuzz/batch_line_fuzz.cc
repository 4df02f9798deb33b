// The input file of a batch, any bytes in pieces of any size: how it is cut does not matter, and
// the body of a line that is accepted is the JSON value that the whole line has there. And the same
// bytes as a line of an output file that is read again.
#include "base/canonical_json.h"
#include "base/check.h"
#include "scheduler/batch_input.h"
#include "scheduler/batch_output.h"

namespace {

using namespace lockstep;

constexpr const char* kEndpoint = "/v1/completions";

BatchValidator::Verdict validate(std::string_view text, std::size_t piece_bytes) {
  BatchValidator validator(kEndpoint);
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
    if (!validator.feed(text.substr(at, piece_bytes))) break;
  }
  return validator.finish();
}

bool check_line(const LineSplitter::Line& line) {
  const ParsedBatchLine parsed = parse_batch_line(line.text, kEndpoint);
  if (!parsed.error.code.empty()) return true;
  const auto whole = parse_json(line.text, 64);
  const auto body = parse_json(parsed.line.body, 64);
  CHECK(whole.ok() && body.ok(), "a line was accepted that is no JSON");
  CHECK(whole.value()["body"] == body.value(), "the body is another one");
  CHECK(whole.value()["custom_id"] == parsed.line.custom_id, "the custom_id is another one");
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = as_text({data + 1, size - 1});
  const BatchValidator::Verdict whole = validate(text, text.size() + 1);
  const BatchValidator::Verdict pieces = validate(text, 1 + data[0] % 64);
  CHECK(whole.num_lines == pieces.num_lines, "the number of lines depends on the pieces");
  CHECK(whole.errors == pieces.errors, "the errors depend on the pieces");
  const auto written = parse_output_line(text);
  CHECK(!written.ok() || parse_json(text, 64).value()["custom_id"] == written.value().custom_id,
        "the custom_id of an output line is another one");
  LineSplitter splitter;
  if (splitter.feed(text, check_line).ok()) (void)splitter.finish(check_line);
  return 0;
}
