#include "scheduler/gateway/http/request_reader.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

struct Read {
  int faults = 0;
  int status = 0;
  std::vector<RequestHead> heads;
  std::vector<std::string> bodies;
  bool is_open = false;  // A request is not complete.
};

// Everything that is in `bytes`, given in pieces of `step` bytes.
Read read_all(const std::string& bytes, std::size_t step = 1 << 20,
              std::uint64_t body_limit = 1000) {
  RequestReader reader;
  Read read;
  std::string body;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    reader.append(std::string_view(bytes).substr(at, step));
    while (true) {
      const auto progress = reader.advance();
      if (progress == RequestReader::Progress::kNeedMore) break;
      if (progress == RequestReader::Progress::kFault) {
        read.faults = 1;
        read.status = reader.fault().status;
        return read;
      }
      if (progress == RequestReader::Progress::kHead) {
        read.heads.push_back(reader.head());
        reader.set_body_limit(body_limit);
      }
      if (progress == RequestReader::Progress::kBody) body += reader.take_body();
      if (progress == RequestReader::Progress::kDone) {
        read.bodies.push_back(std::exchange(body, {}));
        reader.next();
      }
    }
  }
  read.is_open = reader.started();
  return read;
}

int status_of(const std::string& bytes) {
  const Read whole = read_all(bytes);
  const Read bytewise = read_all(bytes, 1);
  EXPECT_EQ(whole.status, bytewise.status) << bytes.substr(0, 200);
  EXPECT_EQ(whole.bodies, bytewise.bodies);
  return whole.status;
}

const std::string kPost = "POST /v1/completions HTTP/1.1\r\nHost: a\r\n";

TEST(RequestReader, TakesALastChunkInAnyPieces) {
  const std::string head = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  for (const char* chunks : {"0\r\n\r\n", "1\r\nx\r\n0\r\n\r\n", "0;x=1\r\n\r\n"}) {
    for (std::size_t step = 1; step < 9; ++step) {
      const Read read = read_all(head + chunks, step);
      EXPECT_EQ(read.faults, 0) << chunks << step;
      EXPECT_EQ(read.bodies.size(), 1U) << chunks << step;
      EXPECT_FALSE(read.is_open);
    }
  }
  // Fields behind a body.
  EXPECT_EQ(status_of(head + "0\r\nA: b\r\n\r\n"), 400);
}

TEST(RequestReader, ReadsOneRequestAfterTheOther) {
  const std::string bytes = "GET /a%20b?x=1%2B2&y HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\n\r\n" + kPost +
                            "Content-Length: 5\r\n\r\nhello" + kPost +
                            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n"
                            "0\r\n\r\n" +
                            "HEAD / HTTP/1.0\r\n\r\n";
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    const Read read = read_all(bytes, step);
    ASSERT_EQ(read.faults, 0) << step;
    ASSERT_EQ(read.heads.size(), 4U);
    EXPECT_EQ(read.heads[0].path, "/a b");
    EXPECT_EQ(query_value(read.heads[0].query, "x"), "1+2");
    EXPECT_EQ(query_value(read.heads[0].query, "y"), "");
    EXPECT_EQ(query_value(read.heads[0].query, "z"), std::nullopt);
    EXPECT_EQ(*read.heads[0].find("x-y"), "z");
    EXPECT_TRUE(read.heads[0].keep_alive);
    EXPECT_FALSE(read.heads[3].keep_alive);
    EXPECT_EQ(read.bodies, (std::vector<std::string>{"", "hello", "abc0123456789", ""}));
    EXPECT_FALSE(read.is_open);
  }
}

TEST(RequestReader, RefusesWhatTwoReadersUnderstandDifferently) {
  const std::string end = "\r\n\r\n0\r\n\r\n";
  EXPECT_EQ(status_of(kPost + "Content-Length: 5\r\nTransfer-Encoding: chunked" + end), 400);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: chunked\r\nContent-Length: 5" + end), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length: +5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length: -5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length: 0x5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length: 18446744073709551617\r\n\r\nh"), 400);
  EXPECT_EQ(status_of(kPost + "Content-Length : 5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: gzip" + end), 501);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: gzip, chunked" + end), 501);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: chunked, chunked" + end), 501);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: \"chunked\"" + end), 501);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x" + end), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked" + end), 501);
  EXPECT_EQ(status_of(kPost + "X: a\r\n b\r\n\r\n"), 400);
  EXPECT_EQ(status_of(kPost + "Host: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of("\x16\x03\x01 hello"), 400);
}

TEST(RequestReader, RefusesChunksThatAreNone) {
  const std::string head = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(head + "-1\r\nx\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "+1\r\nx\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "0x1\r\nx\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + " 1\r\nx\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "10000000000000001\r\nx\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "1\r\nxy\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "1;" + std::string(2000, 'x')), 400);
  EXPECT_EQ(status_of(head + "1\r\nx\r\n0\r\nX-Trailer: 1\r\n\r\n"), 400);
}

TEST(RequestReader, EndsNoLineWithoutACarriageReturn) {
  EXPECT_TRUE(read_all("GET / HTTP/1.1\nHost: a\n\n", 1).heads.empty());
  const Read chunk = read_all(kPost + "Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n");
  EXPECT_TRUE(chunk.bodies.empty() && chunk.is_open);
}

TEST(RequestReader, BoundsHeaderAndBody) {
  EXPECT_EQ(status_of("GET /" + std::string(20000, 'a')), 431);
  EXPECT_EQ(status_of(kPost + "X: " + std::string(20000, 'a')), 431);
  EXPECT_EQ(status_of("GET /" + std::string(9000, 'a') +
                      " HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'a') + "\r\n\r\n"),
            431);
  std::string many = kPost;
  for (int i = 0; i < 99; ++i) many += "X: 1\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 0);
  EXPECT_EQ(status_of(many + "X: 1\r\n\r\n"), 431);
  EXPECT_EQ(status_of(kPost + "Content-Length: 1001\r\n\r\n"), 413);
  EXPECT_EQ(status_of(kPost + "Transfer-Encoding: chunked\r\n\r\n3E9\r\n" + std::string(1001, 'x')),
            413);
  EXPECT_EQ(status_of(kPost + "Content-Length: 18446744073709551615\r\n\r\n"), 413);
}

TEST(RequestReader, RefusesCodingsAndExpectationsItDoesNotKnow) {
  EXPECT_EQ(status_of(kPost + "Content-Encoding: gzip\r\n\r\n"), 415);
  EXPECT_EQ(status_of(kPost + "Expect: 200-ok\r\n\r\n"), 417);
  EXPECT_TRUE(read_all(kPost + "Expect: 100-continue\r\n\r\n").heads.at(0).expects_continue);
}

}  // namespace
}  // namespace lockstep
