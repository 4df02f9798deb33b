#include <algorithm>
#include <map>

#include "tests/simulation/checker.h"

namespace lockstep::simulation {

namespace {

// A client's way to the gateway differs by this much, so closer ones may change places.
constexpr std::int64_t kWayUs = 2000;

struct Service {  // Of one request, by the one replica that serves one at a time.
  const Intent* intent = nullptr;
  std::int64_t asked_us = 0;
  std::int64_t accepted_us = 0;
  std::int64_t began_us = 0;  // Its first token.
  std::int64_t cost = 0;      // As the paper counts: a token of the answer costs two.
};

std::vector<Service> services_in_order(const std::vector<Observed>& observed) {
  std::vector<Service> services;
  for (const Observed& one : observed) {
    if (one.log->first_token_us < 0) continue;
    const auto cost = one.intent->record.prompt.size() + 2 * one.log->tokens[0].size();
    services.push_back({.intent = one.intent,
                        .asked_us = one.log->asked_us,
                        .accepted_us = one.log->accepted_us,
                        .began_us = one.log->first_token_us,
                        .cost = static_cast<std::int64_t>(cost)});
  }
  std::ranges::stable_sort(services, {}, &Service::began_us);
  return services;
}

}  // namespace

std::vector<std::string> check_fairness(const Scenario& scenario,
                                        const std::vector<Observed>& observed) {
  std::vector<std::string> wrong;
  const std::vector<Service> services = services_in_order(observed);
  const std::int64_t age_us = scenario.cluster.dispatcher.age_after_ms * 1000;
  // Of what was served while a tenant waited: how much the other one got more than it did.
  std::map<std::string, std::int64_t> served;
  std::int64_t largest = 0;
  for (std::size_t i = 0; i < services.size(); ++i) {
    const Service& now = services[i];
    const JobRecord& served_now = now.intent->record;
    // It was chosen behind this time, and before its own first token.
    const std::int64_t chosen_us = i > 0 ? services[i - 1].began_us : 0;
    std::map<std::string, bool> waits;  // In the class that is served.
    for (std::size_t j = i + 1; j < services.size(); ++j) {
      const Service& later = services[j];
      if (later.accepted_us > chosen_us) continue;  // It was not there in time.
      const JobRecord& left_out = later.intent->record;
      const bool before = later.asked_us + kWayUs < now.asked_us;
      if (left_out.priority == served_now.priority) waits[left_out.tenant] = true;
      if (before && left_out.priority == served_now.priority &&
          left_out.tenant == served_now.tenant) {
        wrong.push_back(left_out.request_json + " came before " + served_now.request_json);
      }
      if (left_out.priority < served_now.priority && now.began_us < now.asked_us + age_us) {
        wrong.push_back(left_out.request_json + " is of a higher class than " +
                        served_now.request_json);
      }
      // Twice as old as it takes to rise to the top.
      const bool risen = chosen_us > later.asked_us + 4 * age_us;
      if (before && risen && left_out.tenant == served_now.tenant) {
        wrong.push_back(left_out.request_json + " starves behind " + served_now.request_json);
      }
    }
    if (served_now.priority != PriorityClass::kNormal || age_us < 1'000'000'000) continue;
    largest = std::max(largest, now.cost);
    served[served_now.tenant] += now.cost;
    const std::string other = served_now.tenant == "a" ? "b" : "a";
    if (!waits[other]) {
      served.clear();
    } else if (served[served_now.tenant] - served[other] > 3 * largest) {
      wrong.push_back(served_now.tenant + " got more than its share");
      served.clear();
    }
  }
  return wrong;
}

}  // namespace lockstep::simulation
