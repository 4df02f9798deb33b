#include "scheduler/gateway/http/response.h"

#include <algorithm>
#include <cstdio>

namespace lockstep {
namespace {

const char* reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

}  // namespace

Response error_response(const ApiError& error) {
  Response response;
  response.status = error.status;
  response.body = error_body(error);
  if (error.retry_after_s > 0) {
    response.fields.push_back({"retry-after", std::to_string(error.retry_after_s)});
  }
  if (error.status == 401) response.fields.push_back({"www-authenticate", "Bearer"});
  return response;
}

std::string encode_response(const Response& response, const ResponseFrame& frame) {
  std::string out =
      "HTTP/1.1 " + std::to_string(response.status) + " " + reason_phrase(response.status) + "\r\n";
  const auto add = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  add("content-type", response.content_type);
  bool has_id = false;
  for (const HeaderField& field : response.fields) {
    add(field.name, field.value);
    has_id = has_id || field.name == "x-request-id";
  }
  if (!has_id) add("x-request-id", frame.id.text());
  add("x-content-type-options", "nosniff");
  add("connection", frame.keep_alive ? "keep-alive" : "close");
  if (response.stream == nullptr) {
    add("content-length", std::to_string(response.body.size()));
  } else {
    add("cache-control", "no-store");
    if (frame.version >= 11) add("transfer-encoding", "chunked");
  }
  out += "\r\n";
  if (response.stream == nullptr && !frame.head_only) out += response.body;
  return out;
}

std::string encode_chunk(std::string_view text, bool last) {
  std::string out;
  if (!text.empty()) {
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    out.append(size).append(text).append("\r\n");
  }
  if (last) out += "0\r\n\r\n";
  return out;
}

}  // namespace lockstep
