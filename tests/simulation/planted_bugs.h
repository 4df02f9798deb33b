// The bugs of planted_bugs.toml, one line of production code each, compiled into the simulation's
// own copy of the sources (plant_bugs.py) and nowhere else.
#pragma once

#include <string>
#include <vector>

namespace lockstep::simulation {

// The bug that is active, counted from 1 in the order of planted_bugs(); 0: none. Not thread-safe.
extern int planted_bug;

// Their names, AREA.WHAT.
const std::vector<std::string>& planted_bugs();

}  // namespace lockstep::simulation
