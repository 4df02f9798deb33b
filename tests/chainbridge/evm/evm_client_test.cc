#include "chainbridge/evm/evm_client.h"

#include <gtest/gtest.h>

#include "chainbridge/evm/abi.h"
#include "tests/chainbridge/evm/scripted_server.h"

namespace lockstep {
namespace {

using Reply = ScriptedServer::Reply;

const ChainIdentity kChain{.chain_id = 31337, .genesis = keccak256("block 0")};

std::string hex(const Digest& digest) { return "0x" + digest.hex(); }

Json block_json(std::uint64_t number, const std::string& branch = "") {
  const auto hash = [&](std::uint64_t n) {
    return hex(keccak256("block " + std::to_string(n) + (n == 0 ? "" : branch)));
  };
  return {{"number", Uint256(number).quantity()},
          {"hash", hash(number)},
          {"parentHash", number == 0 ? hex({}) : hash(number - 1)},
          {"timestamp", "0x1"},
          {"baseFeePerGas", "0x64"}};
}

Json receipt_json(const Digest& transaction, std::uint64_t number) {
  return {{"transactionHash", hex(transaction)},
          {"blockNumber", Uint256(number).quantity()},
          {"blockHash", block_json(number)["hash"]},
          {"status", "0x1"},
          {"gasUsed", "0x5208"},
          {"effectiveGasPrice", "0x7"}};
}

// An honest node: `latest` blocks, a final one four behind, one transaction in block 3.
ScriptedServer::Script honest(std::uint64_t latest = 10, const std::string& branch = "") {
  return [=](const Json& request) -> Reply {
    const std::string method = request["method"];
    const Json& params = request["params"];
    if (method == "eth_chainId") return ScriptedServer::result(request, "0x7a69");
    if (method == "eth_getBlockByNumber") {
      const std::string tag = params[0];
      std::uint64_t number = latest;
      if (tag == "finalized") number = latest - 4;
      if (tag.starts_with("0x")) number = *Uint256::of_quantity(tag).value().u64();
      return ScriptedServer::result(request, number > latest ? Json() : block_json(number, branch));
    }
    if (method == "eth_getTransactionReceipt") {
      const bool is_known = params[0] == hex(keccak256("mined"));
      return ScriptedServer::result(request,
                                    is_known ? receipt_json(keccak256("mined"), 3) : Json());
    }
    if (method == "eth_maxPriorityFeePerGas") return ScriptedServer::result(request, "0xa");
    return ScriptedServer::fault(request, -32601, "no such method");
  };
}

// `method` is answered by `lie`, the rest honestly.
ScriptedServer::Script lying(const std::string& method, const ScriptedServer::Script& lie) {
  return [=, truth = honest()](const Json& request) {
    return request["method"] == method ? lie(request) : truth(request);
  };
}

std::unique_ptr<EvmClient> client_of(const std::vector<const ScriptedServer*>& servers,
                                     std::optional<std::uint64_t> depth = {},
                                     int timeout_ms = 10'000) {
  EvmClientConfig config;
  for (const ScriptedServer* server : servers) config.urls.push_back(server->url());
  config.chain = kChain;
  config.limits = {.timeout_ms = timeout_ms, .max_body_bytes = 10'000};
  config.finality_depth = depth;
  return EvmClient::make(config, system_clock()).value();
}

TEST(EvmClientHeads, AreThoseOfTheNode) {
  const ScriptedServer server(honest());
  EXPECT_EQ(client_of({&server})->heads().value().latest.id.number, 10U);
  EXPECT_EQ(client_of({&server})->heads().value().final.id.number, 6U);
  EXPECT_EQ(client_of({&server}, 2)->heads().value().final.id.number, 8U);
}

TEST(EvmClientHeads, AreBlocksThatTwoNodesKnow) {
  const ScriptedServer a(honest(10)), lags(honest(7)), ahead(honest(50));
  EXPECT_EQ(client_of({&a, &lags})->heads().value().latest.id.number, 7U);
  EXPECT_EQ(client_of({&a, &lags, &ahead})->heads().value().latest.id.number, 10U);
}

TEST(EvmClientHeads, DoNotExistWhereTwoNodesDisagree) {
  const ScriptedServer a(honest()), b(honest()), other(honest(10, " of a fork"));
  EXPECT_EQ(client_of({&a, &other})->heads().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(client_of({&a, &other, &b})->heads().value().latest.id.hash,
            client_of({&a})->heads().value().latest.id.hash)
      << "two of three agree";
}

TEST(EvmClientHeads, AreNotTakenFromAnotherChain) {
  const ScriptedServer other_id(
      lying("eth_chainId", [](const Json& r) { return ScriptedServer::result(r, "0x1"); }));
  EXPECT_EQ(client_of({&other_id})->heads().error().code, ErrorCode::kPermission);
  const ScriptedServer other_genesis([](const Json& request) {
    if (request["params"] != Json::array({"0x0", false})) return honest()(request);
    return ScriptedServer::result(request, block_json(7));
  });
  EXPECT_EQ(client_of({&other_genesis})->heads().error().code, ErrorCode::kPermission);
}

TEST(EvmClientReceipt, NeedsTwoNodesThatAgree) {
  const ScriptedServer a(honest()), b(honest());
  const ScriptedServer liar(lying("eth_getTransactionReceipt", [](const Json& request) {
    return ScriptedServer::result(request, receipt_json(keccak256("invented"), 4));
  }));
  const auto client = client_of({&a, &b});
  EXPECT_EQ(client->receipt(keccak256("mined")).value()->block.number, 3U);
  EXPECT_FALSE(client->receipt(keccak256("invented")).value().has_value());
  EXPECT_EQ(client_of({&a, &liar})->receipt(keccak256("invented")).error().code,
            ErrorCode::kUnavailable)
      << "one says yes, one says no";
  EXPECT_EQ(client_of({&liar})->receipt(keccak256("mined")).error().code, ErrorCode::kCorrupt)
      << "the receipt of another transaction";
}

// What a node, or what stands in its place, may do: an error, in bounded time, and never a crash.
TEST(EvmClientHeader, SurvivesNodesThatMisbehave) {
  struct Case {
    const char* name;
    ScriptedServer::Script lie;
    ErrorCode code;
  };
  const auto raw = [](std::string bytes) { return [bytes](const Json&) { return Reply{bytes}; }; };
  const auto body = [&raw](const std::string& text) { return raw(ScriptedServer::http(text)); };
  const Case cases[] = {
      {"closes", raw(""), ErrorCode::kUnavailable},
      {"garbage", raw("\x01\x02\x03 garbage \r\n\r\n"), ErrorCode::kUnavailable},
      {"half an answer", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
       ErrorCode::kTimeout},
      {"huge", body(std::string(20'000, ' ')), ErrorCode::kExhausted},
      {"says it is huge", raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
       ErrorCode::kExhausted},
      {"huge in chunks",
       raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" +
           std::string(20'000, ' ') + "\r\n0\r\n\r\n"),
       ErrorCode::kExhausted},
      {"endless head", raw("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x')),
       ErrorCode::kExhausted},
      {"deep", body(std::string(5'000, '[')), ErrorCode::kCorrupt},
      {"no JSON", body("<html>"), ErrorCode::kCorrupt},
      {"empty", body(""), ErrorCode::kCorrupt},
      {"a list", body("[]"), ErrorCode::kCorrupt},
      {"another id", body(R"({"jsonrpc":"2.0","id":999,"result":null})"), ErrorCode::kCorrupt},
      {"nothing", body(R"({"jsonrpc":"2.0","id":3})"), ErrorCode::kCorrupt},
      {"slow",
       [](const Json& r) {
         return Reply{honest()(r).bytes, 1'000};
       },
       ErrorCode::kTimeout},
      {"drips",
       [](const Json& r) {
         return Reply{honest()(r).bytes, 0, true};
       },
       ErrorCode::kTimeout},
      {"503", raw(ScriptedServer::http("", "503 Busy")), ErrorCode::kUnavailable},
      {"refuses", [](const Json& r) { return ScriptedServer::fault(r, -32000, "no"); },
       ErrorCode::kUnavailable},
      {"another block", [](const Json& r) { return ScriptedServer::result(r, block_json(4)); },
       ErrorCode::kCorrupt},
      {"a number as text",
       [](const Json& r) {
         Json block = block_json(3);
         block["number"] = "3";
         return ScriptedServer::result(r, block);
       },
       ErrorCode::kCorrupt},
      {"a short hash",
       [](const Json& r) {
         Json block = block_json(3);
         block["hash"] = "0x12";
         return ScriptedServer::result(r, block);
       },
       ErrorCode::kCorrupt},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const ScriptedServer server([&c](const Json& request) {
      const bool is_asked = request["params"] == Json::array({"0x3", false});
      return is_asked ? c.lie(request) : honest()(request);
    });
    const int timeout_ms = c.code == ErrorCode::kTimeout ? 250 : 10'000;
    const auto header = client_of({&server}, {}, timeout_ms)->header(3);
    ASSERT_FALSE(header.ok());
    EXPECT_EQ(error_code_name(header.error().code), error_code_name(c.code))
        << header.error().message;
  }
}

TEST(EvmClientHeader, AsksNobodyWhoWantsAPause) {
  const ScriptedServer busy([](const Json&) {
    return Reply{ScriptedServer::http("", "429 Too Many Requests", "Retry-After: 2\r\n")};
  });
  const ScriptedServer a(honest()), b(honest());
  const auto client = client_of({&busy, &a, &b});
  EXPECT_TRUE(client->header(3).ok()) << "the others answer";
  const int asked = busy.num_requests();
  EXPECT_TRUE(client->header(4).ok());
  EXPECT_EQ(busy.num_requests(), asked) << "not within its two seconds";
}

TEST(EvmClientHeader, SaysThatABlockIsNotThereYet) {
  const ScriptedServer a(honest());
  EXPECT_EQ(client_of({&a})->header(11).error().code, ErrorCode::kNotFound);
}

TEST(EvmClientFees, AreTheSmallestOffer) {
  const ScriptedServer a(honest());
  const ScriptedServer greedy(lying("eth_maxPriorityFeePerGas", [](const Json& request) {
    return ScriptedServer::result(request, "0xffffffffffffffff");
  }));
  const auto client = client_of({&greedy, &a});
  const GasFees fees = client->suggested_fees(client->heads().value()).value();
  EXPECT_EQ(fees.max_priority, Uint256(10));
  EXPECT_EQ(fees.max_fee, Uint256(2 * 100 + 10));
}

TEST(EvmClientBroadcast, SaysWhatTheNodeSaid) {
  using Kind = BroadcastOutcome::Kind;
  const std::pair<const char*, Kind> cases[] = {
      {"already known", Kind::kAccepted},
      {"transaction already imported", Kind::kAccepted},
      {"nonce too low", Kind::kNonceTooLow},
      {"replacement transaction underpriced", Kind::kUnderpriced},
      {"max fee per gas less than block base fee", Kind::kUnderpriced},
      {"insufficient funds for gas * price + value", Kind::kInsufficient},
      {"something else", Kind::kRefused}};
  for (const auto& [message, kind] : cases) {
    const std::string text = message;
    const ScriptedServer server(lying("eth_sendRawTransaction", [text](const Json& request) {
      return ScriptedServer::fault(request, -32000, text);
    }));
    EXPECT_EQ(client_of({&server})->broadcast(Bytes{1}).value().kind, kind) << message;
  }
  const ScriptedServer accepts(lying("eth_sendRawTransaction", [](const Json& request) {
    return ScriptedServer::result(request, hex(keccak256(ByteView(Bytes{1}))));
  }));
  const ScriptedServer down([](const Json&) { return Reply{}; });
  EXPECT_EQ(client_of({&down, &accepts})->broadcast(Bytes{1}).value().kind, Kind::kAccepted);
  EXPECT_FALSE(client_of({&down})->broadcast(Bytes{1}).ok());
}

TEST(EvmClientCall, TellsARevertFromARefusal) {
  const Bytes reason = encode_abi_call("Error(string)", {AbiValue::of_text("no")}).value();
  const ScriptedServer reverts(lying("eth_call", [&reason](const Json& request) {
    return ScriptedServer::fault(request, 3, "execution reverted", "0x" + to_hex(reason));
  }));
  const auto outcome = client_of({&reverts})->call({}, {3, keccak256("block 3")}).value();
  EXPECT_TRUE(outcome.is_reverted);
  EXPECT_EQ(outcome.data, reason);
  const ScriptedServer refuses(lying("eth_call", [](const Json& request) {
    return ScriptedServer::fault(request, -32000, "header not found");
  }));
  EXPECT_EQ(client_of({&refuses})->call({}, {}).error().code, ErrorCode::kUnavailable);
}

TEST(EvmClientLogs, AreThoseThatWereAskedFor) {
  Address contract;
  contract.bytes.fill(7);
  const BlockId block{3, keccak256("block 3")};
  Json log = {{"address", contract.text()},
              {"blockNumber", "0x3"},
              {"blockHash", hex(block.hash)},
              {"transactionHash", hex({})},
              {"logIndex", "0x0"},
              {"data", "0x"},
              {"topics", Json::array({hex(keccak256("topic"))})}};
  const auto logs_of = [&](const Json& list) {
    const ScriptedServer server(lying("eth_getLogs", [list](const Json& request) {
      return ScriptedServer::result(request, list);
    }));
    return client_of({&server})->logs(block, {contract});
  };
  EXPECT_EQ(logs_of(Json::array({log})).value().at(0).topics.at(0), keccak256("topic"));
  EXPECT_TRUE(logs_of(Json::array()).value().empty());
  EXPECT_FALSE(logs_of(Json::array({log, log})).ok()) << "twice";
  Json other = log;
  other["blockHash"] = hex(keccak256("block 4"));
  EXPECT_FALSE(logs_of(Json::array({other})).ok()) << "of another block";
  other = log;
  other["address"] = Address{}.text();
  EXPECT_FALSE(logs_of(Json::array({other})).ok()) << "of another contract";
  other = log;
  other["removed"] = true;
  EXPECT_FALSE(logs_of(Json::array({other})).ok());
}

TEST(EvmClientMake, RefusesOneNodeTwice) {
  EvmClientConfig config;
  config.urls = {"http://node:1", "http://node:1/"};
  EXPECT_EQ(EvmClient::make(config, system_clock()).error().code, ErrorCode::kInvalidArgument);
  config.urls.clear();
  EXPECT_FALSE(EvmClient::make(config, system_clock()).ok());
}

TEST(ParseHttpUrl, TakesHostsPortsAndPaths) {
  const HttpUrl url = parse_http_url("https://node.example/v1/KEY?x=1").value();
  EXPECT_TRUE(url.tls);
  EXPECT_EQ(url.port, "443");
  EXPECT_EQ(url.target, "/v1/KEY?x=1");
  EXPECT_EQ(url.place(), "https://node.example:443") << "no key in a log";
  EXPECT_EQ(parse_http_url("http://[::1]:8545").value().host, "::1");
  for (const char* text : {"", "node", "ftp://node", "http://", "http://a:0", "http://a:70000",
                           "http://user@a", "http://a b", "http://a:1:2x"}) {
    EXPECT_FALSE(parse_http_url(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lockstep
