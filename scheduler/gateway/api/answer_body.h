// A whole answer as one JSON object.
#pragma once

#include <span>

#include "scheduler/gateway/api/answer_form.h"

namespace lockstep {

// Requires: every choice has ended without an error.
OrderedJson answer_body(const AnswerForm& form, std::span<const ChoiceRecord> choices);

}  // namespace lockstep
