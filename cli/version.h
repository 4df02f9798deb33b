// The version of the program; the project's version in CMakeLists.txt says the same.
#pragma once

namespace lockstep {

inline constexpr const char* kProgramVersion = "0.1.0";

}  // namespace lockstep
