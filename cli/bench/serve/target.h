// Which server is measured, and with whose key.
#pragma once

#include <string>

#include "cli/bench/serve/load.h"
#include "cli/bench/serve/options.h"

namespace lockstep {

// Endpoint and headers. The API key is that of --api-key-file or of OPENAI_API_KEY; it goes into a
// header and nowhere else. kInvalidArgument: no URL, a key in a --header.
Result<HttpServer> server_of(const ServeBenchOptions& options);

// The first model that the server lists; kUnavailable when there is none, or no server.
Result<std::string> first_model(const ServeBenchOptions& options, const HttpServer& server);

}  // namespace lockstep
