// multipart/form-data. Input: a Content-Type, a line break, the form. In one piece and byte by byte
// it must mean the same.
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "scheduler/gateway/http/multipart_reader.h"

namespace lockstep {
namespace {

std::string read_form(const std::string& boundary, std::string_view form, std::size_t step) {
  std::string out;
  MultipartReader reader(boundary, {[&](const FormPart& part) -> Status {
                                      out += "\n[" + part.name + "|" + part.filename + "]";
                                      return {};
                                    },
                                    [&](std::string_view bytes) -> Status {
                                      if (bytes.empty()) std::abort();
                                      out += bytes;
                                      return {};
                                    },
                                    []() -> Status { return {}; }});
  for (std::size_t at = 0; at < form.size(); at += step) {
    if (!reader.push(form.substr(at, step)).ok()) return "error";
  }
  return reader.finish().ok() ? out : "error";
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const std::string_view input = as_text({data, size});
  const std::size_t line = input.find('\n');
  if (line == input.npos) return 0;
  const auto boundary = MultipartReader::boundary_of(input.substr(0, line));
  if (!boundary.ok()) return 0;
  const std::string_view form = input.substr(line + 1);
  if (read_form(boundary.value(), form, form.size() + 1) != read_form(boundary.value(), form, 1)) {
    std::abort();
  }
  return 0;
}
