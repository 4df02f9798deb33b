// Bodies of requests: every parser of the API, and what follows from an accepted one. The first
// byte chooses the parser.
#include <cstdlib>

#include "scheduler/gateway/api/answer_stream.h"
#include "scheduler/gateway/api/batch_body.h"
#include "scheduler/gateway/api/job_body.h"
#include "scheduler/gateway/api/tokenize_body.h"
#include "tests/support/fake_model.h"

namespace lockstep {
namespace {

void generate(std::string_view route, std::string_view body) {
  static const auto model = fake_model_text(/*context_tokens=*/48);
  auto parsed = parse_generation_request(route, body);
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    if (error->message.empty() || error_body(*error).empty()) std::abort();
    return;
  }
  const auto& request = std::get<GenerationRequest>(parsed);
  const auto made = model->make_job(request, 1, 1000);
  if (std::holds_alternative<ApiError>(made)) return;
  const auto& job = std::get<JobRecord>(made);
  if (job.prompt.size() + job.sampling.max_completion_tokens > 48) std::abort();
  AnswerStream stream({request.answer, &job, model.get()}, {});
  JobFeed::Piece piece;
  for (std::uint32_t i = 0; i < 8; ++i) piece.tokens.push_back(fake_token(job, 0, i));
  piece.end = ChoiceEnd{};
  if ((stream.start() + stream.take(0, piece)).empty()) std::abort();
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const auto model = fake_model_text(/*context_tokens=*/48);
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 7) {
    case 0:
      generate(kCompletionsRoute, body);
      break;
    case 1:
      generate(kChatRoute, body);
      break;
    case 2:
      (void)parse_job_request(body);
      break;
    case 3:
      (void)answer_tokenize(*model, body, 0);
      break;
    case 4:
      (void)answer_detokenize(*model, body);
      break;
    case 5:
      (void)parse_batch_request(body);
      break;
    default: {
      const auto id = EventId::parse(body);
      if (id.ok() && EventId::parse(id.value().text()).value().choices != id.value().choices) {
        std::abort();
      }
    }
  }
  return 0;
}
