// Bytes of a connection: the reader of requests, the routes behind it over the fake backend, and
// the bytes of their responses. The first byte says in pieces of how many bytes they come.
#include <cstdlib>

#include "base/clock.h"
#include "base/random.h"
#include "scheduler/gateway/http/api_service.h"
#include "scheduler/gateway/http/request_reader.h"
#include "tests/support/fake_api_backend.h"
#include "tests/support/fake_batch_backend.h"

namespace lockstep {
namespace {

constexpr int kMaxSteps = 200;  // Of the backend, for one answer.

class Session {
 public:
  Session() : backend_(model()) {
    ApiServiceOptions options;
    options.model = model();
    options.backend = &backend_;
    options.files = &batches_;
    options.batches = &batches_;
    options.clock = &system_clock();
    options.random = &system_random();
    options.access.no_auth = true;
    options.counters = std::make_shared<HttpCounters>();
    service_ = make_api_service(options);
  }

  // False when the connection is over.
  bool take(std::string_view bytes) {
    reader_.append(bytes);
    while (true) {
      switch (reader_.advance()) {
        case RequestReader::Progress::kNeedMore:
          return true;
        case RequestReader::Progress::kFault:
          send(error_response(reader_.fault()));
          return false;
        case RequestReader::Progress::kHead:
          if (!begin()) return false;
          break;
        case RequestReader::Progress::kBody:
          if (exchange_->take(reader_.take_body())) return false;
          break;
        case RequestReader::Progress::kDone:
          exchange_->finish([this](Response response) { send(std::move(response)); });
          exchange_.reset();
          reader_.next();
      }
    }
  }

 private:
  static std::shared_ptr<const ModelText> model() {
    static const auto shared = fake_model_text(/*context_tokens=*/48);
    return shared;
  }

  bool begin() {
    head_ = reader_.head();
    head_.id = ids_.next(1'700'000'000'000);
    auto begun = service_->begin(head_);
    if (auto* response = std::get_if<Response>(&begun)) {
      send(std::move(*response));
      return false;
    }
    exchange_ = std::get<std::unique_ptr<Exchange>>(std::move(begun));
    reader_.set_body_limit(exchange_->max_body_bytes());
    return true;
  }

  void send(Response response) {
    for (int i = 0; response.later && i < kMaxSteps; ++i) {
      if (auto later = response.later->poll()) {
        response = std::move(*later);
        break;
      }
      backend_.advance();
    }
    if (response.later) std::abort();  // Every job ends in fewer steps.
    if (encode_response(response, {head_.id, head_.version, true, false}).empty()) std::abort();
    for (int i = 0; response.stream && i < kMaxSteps; ++i) {
      if (response.stream->next().ended) return;
      backend_.advance();
    }
    if (response.stream) std::abort();
  }

  FakeBackend backend_;
  FakeBatchBackend batches_;
  std::shared_ptr<HttpService> service_;
  RequestIdSource ids_{system_random()};
  RequestReader reader_;
  RequestHead head_;
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t step = data[0] % 2 == 0 ? bytes.size() + 1 : data[0];
  lockstep::Session session;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    if (!session.take(bytes.substr(at, step))) break;
  }
  return 0;
}
