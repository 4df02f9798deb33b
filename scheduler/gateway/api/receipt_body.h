// The result hashes of an answer, as anyone who runs the job again gets them. Source: chain design,
// "Identifiers"; the fields of the chain are 0.
#pragma once

#include <span>

#include "scheduler/job.h"
#include "sharding/chat_template.h"

namespace lockstep {

// One choice. Requires: `choice.end` is set and without error.
OrderedJson receipt_body(const JobRecord& record, std::uint32_t choice_index,
                         std::span<const CompletionToken> tokens, FinishReason reason);

}  // namespace lockstep
