#include "scheduler/gateway/http/request_reader.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "base/check.h"

namespace lockstep {
namespace {

namespace http = boost::beast::http;
using BeastText = boost::beast::string_view;
using BeastError = boost::beast::error_code;

// Two of them would mean two things to two readers.
constexpr std::array<std::string_view, 9> kUnique = {
    "Host",   "Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding",
    "Expect", "Authorization",  "Idempotency-Key",   "Last-Event-ID"};

constexpr std::size_t kMinLastChunkBytes = std::string_view("0\r\n\r\n").size();

std::string text(BeastText view) { return {view.data(), view.size()}; }

}  // namespace

class RequestReader::Parser final : public http::basic_parser<true> {
 public:
  Parser(RequestHead& head, std::string& body) : head_(head), body_(body) {
    header_limit(kMaxHeaderBytes);
    body_limit(UINT64_MAX);  // Ours is set behind the head.
  }

  bool in_chunk() const { return chunk_left_ > 0; }

 private:
  // NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
  void on_request_impl(http::verb, BeastText method, BeastText target, int version,
                       BeastError& /*ec*/) override {
    head_.method = text(method);
    head_.target = text(target);
    head_.version = version;
  }
  void on_response_impl(int, BeastText, int, BeastError&) override {}
  void on_field_impl(http::field, BeastText name, BeastText value, BeastError& ec) override {
    // Behind a chunked body: fields that nobody checked.
    if (is_header_done()) {
      ec = http::error::bad_field;
    } else if (head_.fields.size() == kMaxHeaderFields) {
      ec = http::error::header_limit;
    } else {
      head_.fields.push_back({text(name), text(value)});
    }
  }
  void on_header_impl(BeastError&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, BeastError&) override {}
  std::size_t on_body_impl(BeastText bytes, BeastError&) override {
    body_.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t size, BeastText, BeastError&) override {
    chunk_left_ = size;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastText bytes, BeastError&) override {
    body_.append(bytes.data(), bytes.size());
    chunk_left_ -= bytes.size();
    return bytes.size();
  }
  void on_finish_impl(BeastError&) override {}
  // NOLINTEND(readability-inconsistent-declaration-parameter-name)

  RequestHead& head_;
  std::string& body_;
  std::uint64_t chunk_left_ = 0;
};

RequestReader::RequestReader() { next(); }
RequestReader::~RequestReader() = default;

void RequestReader::next() {
  head_ = {};
  body_.clear();
  body_limit_ = UINT64_MAX;
  body_bytes_ = 0;
  head_bytes_ = 0;
  started_ = false;
  has_head_ = false;
  parser_ = std::make_unique<Parser>(head_, body_);
}

void RequestReader::append(std::string_view bytes) { buffer_.append(bytes); }

std::string RequestReader::take_body() { return std::exchange(body_, {}); }

RequestReader::Progress RequestReader::fail(int status, std::string message) {
  fault_ = {};
  fault_.status = status;
  fault_.message = "HTTP: " + std::move(message);
  return Progress::kFault;
}

void RequestReader::set_body_limit(std::uint64_t bytes) { body_limit_ = bytes; }

RequestReader::Progress RequestReader::advance() {
  while (true) {
    if (has_head_ && parser_->is_done()) return Progress::kDone;
    if (has_head_ && head_.content_length > body_limit_) {
      return fail(413, "a body of more than " + std::to_string(body_limit_) + " bytes");
    }
    if (buffer_.empty()) return Progress::kNeedMore;
    started_ = true;
    // Beast 1.74 aborts when it is given a last chunk's beginning and then less than this.
    if (has_head_ && head_.chunked && !parser_->in_chunk() && buffer_.size() < kMinLastChunkBytes) {
      return Progress::kNeedMore;
    }
    BeastError ec;
    const std::size_t used =
        parser_->put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), ec);
    if (!has_head_) {
      // Unfolding is one of the things that readers disagree about.
      const std::string_view read(buffer_.data(), used);
      if (read.find("\n ") != read.npos || read.find("\n\t") != read.npos) {
        return fail(400, "a folded header field");
      }
      head_bytes_ += used;
    }
    buffer_.erase(0, used);
    if (ec == http::error::need_more) {
      if (!has_head_ && head_bytes_ + buffer_.size() > kMaxHeaderBytes) {
        return fail(431, "the header is longer than " + std::to_string(kMaxHeaderBytes) + " bytes");
      }
      if (has_head_ && buffer_.size() > kMaxChunkHeaderBytes) {
        return fail(400, "a chunk's header is too long");
      }
      return Progress::kNeedMore;
    }
    if (ec == http::error::header_limit || (!has_head_ && head_bytes_ > kMaxHeaderBytes)) {
      return fail(431, "the header has more than " + std::to_string(kMaxHeaderBytes) +
                           " bytes or " + std::to_string(kMaxHeaderFields) + " fields");
    }
    if (ec == http::error::bad_version) return fail(505, "only HTTP/1.0 and 1.1 are spoken here");
    if (ec) return fail(400, ec.message());
    if (!has_head_ && parser_->is_header_done()) return finish_head();
    body_bytes_ += body_.size();
    if (body_bytes_ > body_limit_) {
      return fail(413, "a body of more than " + std::to_string(body_limit_) + " bytes");
    }
    if (!body_.empty()) return Progress::kBody;
  }
}

// RFC 9112: 2.2, 3.2, 6.1, 6.3.
bool RequestReader::check_fields() {
  for (const std::string_view name : kUnique) {
    const auto count =
        std::count_if(head_.fields.begin(), head_.fields.end(),
                      [&](const auto& field) { return equals_ignoring_case(field.name, name); });
    if (count > 1) {
      fail(400, std::string(name) + " is given twice");
      return false;
    }
  }
  const std::string* encoding = head_.find("Transfer-Encoding");
  if (encoding != nullptr && (head_.version < 11 || !equals_ignoring_case(*encoding, "chunked"))) {
    fail(501, "Transfer-Encoding: only chunked is understood, in HTTP/1.1");
  } else if (head_.version >= 11 && head_.find("Host") == nullptr) {
    fail(400, "Host is missing");
  } else if (const auto* content = head_.find("Content-Encoding");
             content != nullptr && !equals_ignoring_case(*content, "identity")) {
    fail(415, "Content-Encoding: compressed bodies are not read");
  } else if (const auto* expect = head_.find("Expect");
             expect != nullptr && !equals_ignoring_case(*expect, "100-continue")) {
    fail(417, "Expect: only 100-continue is understood");
  } else if (!head_.target.starts_with('/')) {
    fail(400, "the request target must start with /");
  } else {
    return true;
  }
  return false;
}

RequestReader::Progress RequestReader::finish_head() {
  has_head_ = true;
  if (!check_fields()) return Progress::kFault;
  const std::string_view target = head_.target;
  const std::size_t question = std::min(target.find('?'), target.size());
  auto path = percent_decode(target.substr(0, question));
  if (!path) return fail(400, "a malformed escape in the request target");
  head_.path = std::move(*path);
  head_.query = target.substr(std::min(question + 1, target.size()));
  head_.keep_alive = parser_->keep_alive();
  head_.chunked = parser_->chunked();
  head_.content_length = parser_->content_length().value_or(0);
  head_.expects_continue = head_.version >= 11 && head_.find("Expect") != nullptr;
  return Progress::kHead;
}

}  // namespace lockstep
