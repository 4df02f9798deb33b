// Says whether a world kept its promises, from what clients saw and what lies on disk alone: it
// knows nothing of gateways, replicas and schedulers, and computes every answer anew.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/simulation/client.h"
#include "tests/simulation/scenario.h"

namespace lockstep::simulation {

struct Observed {
  const Intent* intent = nullptr;
  const ClientLog* log = nullptr;
  bool waits = false;  // It still waits for an answer.
};

// What is wrong with the order in which a contended world served its clients; fairness_checker.cc.
std::vector<std::string> check_fairness(const Scenario& scenario,
                                        const std::vector<Observed>& observed);

// What is wrong, in words; nothing when all is well.
std::vector<std::string> check_world(const Scenario& scenario,
                                     const std::vector<Observed>& observed,
                                     const std::map<RequestId, StoredJob>& rows);

}  // namespace lockstep::simulation
