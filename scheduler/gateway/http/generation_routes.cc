#include "scheduler/gateway/http/generation_routes.h"

#include <utility>

#include "scheduler/gateway/api/job_body.h"
#include "scheduler/gateway/http/body_exchange.h"
#include "scheduler/gateway/http/feed_stream.h"
#include "scheduler/gateway/http/list_query.h"
#include "scheduler/gateway/http/submission.h"

namespace lockstep {
namespace {

void generate(const RouteCall& call, std::string body, Respond respond) {
  if (auto error = call.parts->access->admit(call.principal, call.unix_ms())) {
    return respond(error_response(*error));
  }
  auto parsed = parse_generation_request(call.head.path, body);
  if (auto* error = std::get_if<ApiError>(&parsed)) return respond(error_response(*error));
  const auto& request = std::get<GenerationRequest>(parsed);
  auto made = make_record(call, request, std::move(body));
  if (auto* error = std::get_if<ApiError>(&made)) return respond(error_response(*error));
  submit(call, std::get<JobRecord>(std::move(made)), std::move(respond),
         [call, options = request.answer](Accepted accepted) {
           const bool replayed = accepted.replayed;
           FeedSource source{call, std::move(accepted.feed), options};
           if (!options.stream) return await_feed(std::move(source));
           Response response = stream_feed(std::move(source), std::nullopt);
           if (replayed) response.fields.push_back({"idempotent-replayed", "true"});
           return response;
         });
}

// Behind which event to go on, checked against the request.
OrApiError<std::optional<EventId>> resume_point(const RequestHead& head, const JobRecord& record) {
  const std::string* field = head.find("Last-Event-ID");
  const auto query = query_value(head.query, "last_event_id");
  if ((field == nullptr || field->empty()) && !query) return std::optional<EventId>();
  const auto id = EventId::parse(field != nullptr && !field->empty() ? *field : *query);
  if (!id.ok()) return field_error("Last-Event-ID", id.error().message);
  if (id.value().request != record.id || id.value().choices.size() != record.num_choices) {
    return field_error("Last-Event-ID", "is of another request");
  }
  return std::optional<EventId>(id.value());
}

Response events_response(const RouteCall& call, Result<std::shared_ptr<JobFeed>> found) {
  if (!found.ok()) return error_response(to_api_error(found.error()));
  std::shared_ptr<JobFeed> feed = std::move(found).value();
  auto point = resume_point(call.head, feed->record());
  if (auto* error = std::get_if<ApiError>(&point)) return error_response(*error);
  const auto request = parse_record(feed->record());
  if (const auto* error = std::get_if<ApiError>(&request)) return unreadable_record(*error);
  return stream_feed({call, std::move(feed), std::get<GenerationRequest>(request).answer},
                     std::get<std::optional<EventId>>(point));
}

Response job_response(const RouteCall& call, const JobFeed& feed, const AnswerOptions& options,
                      int status) {
  const AnswerForm form{options, &feed.record(), call.parts->model.get()};
  const auto outcome = feed.outcome();
  std::vector<ChoiceRecord> choices;
  if (outcome && outcome->state == JobState::kDone) choices = read_choices(feed);
  Response response = json_response(job_body(form, outcome, choices).dump());
  response.status = status;
  response.fields.push_back({"x-request-id", feed.record().id.text()});
  if (status == 202) response.fields.push_back({"location", "/v1/jobs/" + feed.record().id.text()});
  return response;
}

void create_job(const RouteCall& call, std::string body, Respond respond) {
  if (auto error = call.parts->access->admit(call.principal, call.unix_ms())) {
    return respond(error_response(*error));
  }
  auto parsed = parse_job_request(body);
  if (auto* error = std::get_if<ApiError>(&parsed)) return respond(error_response(*error));
  const auto& job = std::get<JobRequest>(parsed);
  auto made = make_record(call, job.generation, std::move(body));
  if (auto* error = std::get_if<ApiError>(&made)) return respond(error_response(*error));
  auto record = std::get<JobRecord>(std::move(made));
  record.kind = JobKind::kJob;
  record.keep_without_client = true;
  if (job.expires_in_s > 0) record.expires_ms = call.unix_ms() + job.expires_in_s * 1000;
  // Nobody waits for it, so its tokens are charged now.
  const std::uint64_t most =
      std::uint64_t{record.sampling.max_completion_tokens} * record.num_choices;
  // A job that is replayed has the same body: the form of its answer is known without reading it
  // again.
  submit(call, std::move(record), std::move(respond),
         [call, most, options = job.generation.answer](Accepted accepted) {
           if (!accepted.replayed) {
             call.parts->access->charge(call.principal, most, call.unix_ms());
           }
           return defer([call, options, feed = std::move(accepted.feed)] {
             return job_response(call, *feed, options, 202);
           });
         });
}

void list_jobs(const RouteCall& call, const Respond& respond) {
  auto parsed = parse_list_query(call.head.query, &RequestId::parse);
  if (auto* error = std::get_if<ApiError>(&parsed)) return respond(error_response(*error));
  const auto& query = std::get<ListQuery>(parsed);
  call.parts->backend->list(
      call.principal.tenant, query.after, static_cast<std::uint32_t>(query.limit + 1),
      [limit = query.limit, respond](Result<std::vector<JobSummary>> jobs) {
        if (!jobs.ok()) {
          return respond(error_response(to_api_error(jobs.error())));
        }
        respond(json_response(job_list_body(listed_page(std::move(jobs).value(), limit))));
      });
}

void get_job(const RouteCall& call, const RequestId& id, const Respond& respond) {
  call.parts->backend->find(
      call.principal.tenant, id, [call, respond](Result<std::shared_ptr<JobFeed>> found) {
        if (!found.ok()) return respond(error_response(to_api_error(found.error())));
        respond(defer([call, feed = std::move(found).value()] {
          const auto request = parse_record(feed->record());
          if (const auto* error = std::get_if<ApiError>(&request)) return unreadable_record(*error);
          return job_response(call, *feed, std::get<GenerationRequest>(request).answer, 200);
        }));
      });
}

// An exchange without a body that is about the request in the path.
std::unique_ptr<Exchange> request_exchange(
    RouteCall call,
    std::function<void(const RouteCall&, const RequestId&, const Respond&)> answer) {
  auto counters = call.parts->counters;
  return std::make_unique<BodyExchange>(std::move(counters), 0,
                                        [call = std::move(call), answer = std::move(answer)](
                                            const std::string&, const Respond& respond) {
                                          const auto id = parse_request_id(call.parameter);
                                          if (const auto* error = std::get_if<ApiError>(&id))
                                            return respond(error_response(*error));
                                          answer(call, std::get<RequestId>(id), respond);
                                        });
}

}  // namespace

std::unique_ptr<Exchange> generate_exchange(RouteCall call) {
  auto counters = call.parts->counters;
  return std::make_unique<BodyExchange>(
      std::move(counters), kMaxBodyBytes,
      [call = std::move(call)](std::string body, Respond respond) {
        generate(call, std::move(body), std::move(respond));
      });
}

std::unique_ptr<Exchange> events_exchange(RouteCall call) {
  return request_exchange(
      std::move(call), [](const RouteCall& c, const RequestId& id, const Respond& respond) {
        c.parts->backend->find(c.principal.tenant, id,
                               [c, respond](Result<std::shared_ptr<JobFeed>> found) {
                                 respond(events_response(c, std::move(found)));
                               });
      });
}

std::unique_ptr<Exchange> create_job_exchange(RouteCall call) {
  auto counters = call.parts->counters;
  return std::make_unique<BodyExchange>(
      std::move(counters), kMaxBodyBytes,
      [call = std::move(call)](std::string body, Respond respond) {
        create_job(call, std::move(body), std::move(respond));
      });
}

std::unique_ptr<Exchange> list_jobs_exchange(RouteCall call) {
  auto counters = call.parts->counters;
  return std::make_unique<BodyExchange>(
      std::move(counters), 0, [call = std::move(call)](const std::string&, const Respond& respond) {
        list_jobs(call, respond);
      });
}

std::unique_ptr<Exchange> get_job_exchange(RouteCall call) {
  return request_exchange(std::move(call), get_job);
}

std::unique_ptr<Exchange> cancel_job_exchange(RouteCall call) {
  return request_exchange(
      std::move(call), [](const RouteCall& c, const RequestId& id, const Respond& respond) {
        c.parts->backend->cancel(c.principal.tenant, id, [c, id, respond](const Status& status) {
          if (!status.ok()) return respond(error_response(to_api_error(status.error())));
          get_job(c, id, respond);
        });
      });
}

}  // namespace lockstep
