// The fields that say how tokens are chosen, common to both routes.
#pragma once

#include "scheduler/gateway/api/field_reader.h"
#include "scheduler/gateway/api/generation_request.h"

namespace lockstep {

void read_sampling_fields(FieldReader& fields, GenerationRequest& request);

// stream, stream_options, user, lockstep.
void read_answer_fields(FieldReader& fields, GenerationRequest& request);

// An optional list of token ids; faults name `name`.
std::optional<std::vector<std::uint32_t>> read_token_ids(const OrderedJson& list, const char* name,
                                                         FieldReader& fields);

}  // namespace lockstep
