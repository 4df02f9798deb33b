// The messages and tools of a chat, checked and put into the form that templates expect.
#pragma once

#include "scheduler/gateway/api/field_reader.h"

namespace lockstep {

// Content given as a list of texts becomes one text, its parts on lines of their own, and the
// arguments of tool calls become objects, as in vLLM. Faults name the place: "messages[2].content".
OrderedJson read_messages(FieldReader& fields);

// tools and tool_choice; null when there are none or the client wants none.
OrderedJson read_tools(FieldReader& fields);

}  // namespace lockstep
