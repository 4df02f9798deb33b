#include "scheduler/gateway/http/batch_routes.h"

#include <charconv>
#include <utility>

#include "scheduler/gateway/api/batch_body.h"
#include "scheduler/gateway/http/body_exchange.h"
#include "scheduler/gateway/http/list_query.h"
#include "scheduler/gateway/http/multipart_reader.h"

namespace lockstep {
namespace {

// What a form may have around the file.
constexpr std::uint64_t kMaxFormBytes = kMaxBatchBytes + (64 << 10);
constexpr std::size_t kMaxValueBytes = 256;
// OpenAI's fields and bounds.
constexpr std::string_view kExpiryAnchor = "expires_after[anchor]";
constexpr std::string_view kExpirySeconds = "expires_after[seconds]";
constexpr std::int64_t kMinLifetimeS = 3'600;
constexpr std::int64_t kMaxLifetimeS = 30 * 24 * 3'600;

class UploadExchange final : public Exchange {
 public:
  UploadExchange(RouteCall call, const std::string& boundary, std::unique_ptr<UploadWriter> writer)
      : call_(std::move(call)),
        writer_(std::move(writer)),
        form_(boundary,
              {[this](const FormPart& part) { return begin(part); },
               [this](std::string_view bytes) { return data(bytes); }, [this] { return end(); }}) {}

  std::uint64_t max_body_bytes() const override { return kMaxFormBytes; }

  std::optional<ApiError> take(std::string_view piece) override {
    const Status status = form_.push(piece);
    if (status.ok()) return std::nullopt;
    return to_api_error(status.error());
  }

  void finish(Respond respond) override {
    const Status closed = form_.finish();
    if (!closed.ok()) return respond(error_response(to_api_error(closed.error())));
    if (!has_file_) return respond(error_response(field_error("file", "is missing")));
    if (meta_.purpose != "batch") {
      return respond(error_response(field_error("purpose", "only \"batch\" is supported")));
    }
    meta_.tenant = call_.principal.tenant;
    if (lifetime_s_ > 0) meta_.expires_ms = call_.unix_ms() + lifetime_s_ * 1000;
    writer_->finish(meta_, [respond = std::move(respond)](Result<FileRecord> file) {
      if (!file.ok()) return respond(error_response(to_api_error(file.error())));
      respond(json_response(file_body(file.value()).dump()));
    });
  }

 private:
  Status begin(const FormPart& part) {
    value_.clear();
    name_ = part.name;
    if (name_ == "file" && !has_file_) {
      has_file_ = true;
      meta_.filename = part.filename.empty() ? "file" : part.filename;
      return {};
    }
    if (name_ == "purpose" && meta_.purpose.empty()) return {};
    if (name_ == kExpiryAnchor || (name_ == kExpirySeconds && lifetime_s_ == 0)) return {};
    return Error{ErrorCode::kInvalidArgument, name_ + ": this field is not supported, or twice"};
  }

  Status data(std::string_view bytes) {
    if (name_ == "file") {
      file_bytes_ += bytes.size();
      if (file_bytes_ > kMaxBatchBytes) {
        return Error{ErrorCode::kInvalidArgument, "file: longer than 512 MiB"};
      }
      return writer_->write(bytes);
    }
    value_ += bytes;
    if (value_.size() <= kMaxValueBytes) return {};
    return Error{ErrorCode::kInvalidArgument, name_ + ": is too long"};
  }

  Status end() {
    if (name_ == "purpose") meta_.purpose = value_;
    if (name_ == kExpiryAnchor && value_ != "created_at") {
      return Error{ErrorCode::kInvalidArgument, name_ + ": only \"created_at\" is supported"};
    }
    if (name_ != kExpirySeconds) return {};
    const char* end = value_.data() + value_.size();
    const auto [stop, fault] = std::from_chars(value_.data(), end, lifetime_s_);
    if (fault == std::errc() && stop == end && lifetime_s_ >= kMinLifetimeS &&
        lifetime_s_ <= kMaxLifetimeS) {
      return {};
    }
    return Error{ErrorCode::kInvalidArgument, name_ + ": expected an integer in [3600, 2592000]"};
  }

  RouteCall call_;
  std::unique_ptr<UploadWriter> writer_;
  MultipartReader form_;
  FileRecord meta_;
  std::string name_;
  std::string value_;
  std::uint64_t file_bytes_ = 0;
  std::int64_t lifetime_s_ = 0;  // 0: the default.
  bool has_file_ = false;
};

class FileStream final : public BodyStream {
 public:
  explicit FileStream(std::unique_ptr<FileReader> reader) : reader_(std::move(reader)) {}

  Piece next() override {
    Result<std::string> bytes = reader_->read(kPieceBytes);
    // An error cuts the chunked body short, which the client sees.
    if (!bytes.ok()) return {.text = {}, .ended = false, .failed = true};
    Piece piece;
    piece.ended = bytes.value().empty();
    piece.text = std::move(bytes).value();
    return piece;
  }
  void wait(std::function<void()> wake) override { wake(); }
  std::string heartbeat() const override { return {}; }

 private:
  std::unique_ptr<FileReader> reader_;
};

// Turns a result of the backend into a response.
template <typename T, typename Make>
std::function<void(Result<T>)> answer_with(Respond respond, Make make) {
  return [respond = std::move(respond), make](Result<T> result) {
    if (!result.ok()) return respond(error_response(to_api_error(result.error())));
    respond(make(std::move(result).value()));
  };
}

Response file_response(const FileRecord& file) { return json_response(file_body(file).dump()); }
Response batch_response(const BatchRecord& batch) {
  return json_response(batch_body(batch).dump());
}

void answer_file(RouteId route, const RouteCall& call, RequestId id, const Respond& respond) {
  FileBackend& files = *call.parts->files;
  const std::string& tenant = call.principal.tenant;
  if (route == RouteId::kDeleteFile) {
    return files.remove(tenant, id, [respond, id](const Status& status) {
      respond(status.ok() ? json_response(deleted_file_body(id))
                          : error_response(to_api_error(status.error())));
    });
  }
  if (route == RouteId::kGetFile) {
    return files.find(tenant, id, answer_with<FileRecord>(respond, &file_response));
  }
  files.open(
      tenant, id,
      answer_with<std::unique_ptr<FileReader>>(respond, [](std::unique_ptr<FileReader> reader) {
        Response response;
        response.content_type = "application/octet-stream";
        response.stream = std::make_unique<FileStream>(std::move(reader));
        return response;
      }));
}

void create_batch(const RouteCall& call, const std::string& body, const Respond& respond) {
  auto parsed = parse_batch_request(body);
  if (auto* error = std::get_if<ApiError>(&parsed)) return respond(error_response(*error));
  auto batch = std::get<BatchRecord>(std::move(parsed));
  batch.id = call.head.id;
  batch.tenant = call.principal.tenant;
  batch.created_ms = call.unix_ms();
  call.parts->batches->create(std::move(batch), answer_with<BatchRecord>(respond, &batch_response));
}

void answer_list(RouteId route, const RouteCall& call, const Respond& respond) {
  const bool is_files = route == RouteId::kListFiles;
  auto parsed = parse_list_query(call.head.query, is_files ? &parse_file_id : &parse_batch_id);
  if (auto* error = std::get_if<ApiError>(&parsed)) return respond(error_response(*error));
  auto query = std::get<ListQuery>(std::move(parsed));
  query.tenant = call.principal.tenant;
  if (is_files) {
    return call.parts->files->list(
        std::move(query),
        answer_with<Listed<FileRecord>>(respond, [](const Listed<FileRecord>& files) {
          return json_response(file_list_body(files));
        }));
  }
  call.parts->batches->list(std::move(query), answer_with<Listed<BatchRecord>>(
                                                  respond, [](const Listed<BatchRecord>& batches) {
                                                    return json_response(batch_list_body(batches));
                                                  }));
}

void answer_batch(RouteId route, const RouteCall& call, const std::string& body,
                  const Respond& respond) {
  if (route == RouteId::kCreateBatch) return create_batch(call, body, respond);
  if (route == RouteId::kListFiles || route == RouteId::kListBatches) {
    return answer_list(route, call, respond);
  }
  const bool is_batch = route == RouteId::kGetBatch || route == RouteId::kCancelBatch;
  const auto id = is_batch ? parse_batch_id(call.parameter) : parse_file_id(call.parameter);
  if (!id.ok()) {
    return respond(error_response(to_api_error({ErrorCode::kNotFound, id.error().message})));
  }
  if (!is_batch) return answer_file(route, call, id.value(), respond);
  const auto done = answer_with<BatchRecord>(respond, &batch_response);
  if (route == RouteId::kGetBatch) {
    return call.parts->batches->find(call.principal.tenant, id.value(), done);
  }
  call.parts->batches->cancel(call.principal.tenant, id.value(), done);
}

}  // namespace

std::variant<Response, std::unique_ptr<Exchange>> upload_exchange(RouteCall call) {
  const std::string* type = call.head.find("Content-Type");
  const auto boundary = MultipartReader::boundary_of(type == nullptr ? "" : *type);
  if (!boundary.ok()) return error_response(field_error("Content-Type", boundary.error().message));
  auto writer = call.parts->files->create(call.principal.tenant);
  if (!writer.ok()) return error_response(to_api_error(writer.error()));
  return std::make_unique<UploadExchange>(std::move(call), boundary.value(),
                                          std::move(writer).value());
}

std::unique_ptr<Exchange> batch_exchange(RouteId route, RouteCall call) {
  const bool is_post = route == RouteId::kCreateBatch || route == RouteId::kCancelBatch;
  const std::uint64_t max_bytes = is_post ? kMaxBodyBytes : 0;
  auto counters = call.parts->counters;
  return std::make_unique<BodyExchange>(
      std::move(counters), max_bytes,
      [call = std::move(call), route](const std::string& body, const Respond& respond) {
        answer_batch(route, call, body, respond);
      });
}

}  // namespace lockstep
