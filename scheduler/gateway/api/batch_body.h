// Files and batches as OpenAI's API writes them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scheduler/batch.h"
#include "scheduler/gateway/api/api_error.h"
#include "scheduler/gateway/batch_backend.h"
#include "sharding/chat_template.h"

namespace lockstep {

OrderedJson file_body(const FileRecord& file);
OrderedJson batch_body(const BatchRecord& batch);
std::string file_list_body(const Listed<FileRecord>& files);
std::string batch_list_body(const Listed<BatchRecord>& batches);
std::string deleted_file_body(RequestId id);

// The body of POST /v1/batches: endpoint, input file, window, metadata.
OrApiError<BatchRecord> parse_batch_request(std::string_view body);

}  // namespace lockstep
