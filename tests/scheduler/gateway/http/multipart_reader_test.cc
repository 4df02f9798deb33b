#include "scheduler/gateway/http/multipart_reader.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

// What a form holds, as "name/filename=value;", or the error.
std::string read_form(const std::string& form, std::size_t step = 1 << 20) {
  std::string out;
  MultipartReader reader("B", {[&](const FormPart& part) -> Status {
                                 out += part.name + "/" + part.filename + "=";
                                 return {};
                               },
                               [&](std::string_view bytes) -> Status {
                                 out += bytes;
                                 return {};
                               },
                               [&]() -> Status {
                                 out += ";";
                                 return {};
                               }});
  for (std::size_t at = 0; at < form.size(); at += step) {
    const Status status = reader.push(std::string_view(form).substr(at, step));
    if (!status.ok()) return "error";
  }
  return reader.finish().ok() ? out : "error";
}

const std::string kForm =
    "--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
    "--B\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; filename=\"a "
    "\\\"b\\\".x\"; "
    "name=file\r\n\r\nline\r\n--Bx\r\n\r\n-\r\n--B\r\n"
    "Content-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--B--\r\n";

TEST(MultipartReader, GivesPartsHoweverTheyCome) {
  // "--Bx" is no delimiter but, as it begins like one, malformed.
  std::string form = kForm;
  form.replace(form.find("--Bx"), 4, "--bx");
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{64}, form.size()}) {
    EXPECT_EQ(read_form(form, step), "purpose/=batch;file/a \"b\".x=line\r\n--bx\r\n\r\n-;empty/=;")
        << step;
  }
}

TEST(MultipartReader, RefusesWhatIsMalformed) {
  EXPECT_EQ(read_form(kForm), "error");
  const std::string part = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
  EXPECT_EQ(read_form(part + "--B--"), "a/=x;");
  EXPECT_EQ(read_form(part + "--B--\r\n"), "a/=x;");
  EXPECT_EQ(read_form(part + "--B--\r\nmore"), "error");
  EXPECT_EQ(read_form(part), "error");
  EXPECT_EQ(read_form("preamble\r\n" + part + "--B--"), "error");
  EXPECT_EQ(read_form("--B--"), "error");
  EXPECT_EQ(read_form("--B\r\n\r\nx\r\n--B--"), "error");
  EXPECT_EQ(read_form("--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--"), "error");
  EXPECT_EQ(read_form("--B\r\nContent-Disposition: file; name=a\r\n\r\nx\r\n--B--"), "error");
  EXPECT_EQ(read_form("--B\r\nX: " + std::string(5000, 'x')), "error");
  std::string many;
  for (int i = 0; i < 17; ++i) many += part;
  EXPECT_EQ(read_form(many + "--B--"), "error");
}

TEST(MultipartReaderBoundaryOf, TakesFormDataAlone) {
  const auto boundary = [](const std::string& type) {
    const auto found = MultipartReader::boundary_of(type);
    return found.ok() ? found.value() : "";
  };
  EXPECT_EQ(boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(boundary("Multipart/Form-Data; charset=x; Boundary=\"a:b\""), "a:b");
  EXPECT_EQ(boundary("multipart/mixed; boundary=abc"), "");
  EXPECT_EQ(boundary("multipart/form-data"), "");
  EXPECT_EQ(boundary("multipart/form-data; boundary="), "");
  EXPECT_EQ(boundary("multipart/form-data; boundary=" + std::string(71, 'a')), "");
  EXPECT_EQ(boundary("multipart/form-data; boundary=a; boundary=b"), "");
}

}  // namespace
}  // namespace lockstep
