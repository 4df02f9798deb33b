#include "scheduler/gateway/api/sampling_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace lockstep {
namespace {

void read_float(FieldReader& fields, const char* name, double min, double max, float& out) {
  if (const auto value = fields.number(name, min, max)) out = static_cast<float>(*value);
}

void read_stop(FieldReader& fields, std::vector<std::string>& out) {
  const OrderedJson* stop = fields.take("stop");
  if (stop == nullptr) return;
  const OrderedJson list = stop->is_array() ? *stop : OrderedJson::array({*stop});
  if (list.size() > kMaxStops) {
    return fields.fail("stop", "more than " + std::to_string(kMaxStops) + " strings");
  }
  for (const OrderedJson& one : list) {
    if (!one.is_string()) return fields.fail("stop", "expected a string or a list of strings");
    const auto& text = one.get_ref<const std::string&>();
    if (text.empty() || text.size() > kMaxStopBytes) {
      return fields.fail("stop", "a string of 1 to " + std::to_string(kMaxStopBytes) +
                                     " bytes is expected, got " + std::to_string(text.size()));
    }
    out.push_back(text);
  }
}

void read_logit_bias(FieldReader& fields, SamplingParams& sampling) {
  const OrderedJson* biases = fields.take("logit_bias");
  if (biases == nullptr) return;
  if (!biases->is_object()) {
    return fields.fail("logit_bias", "expected an object of token ids and numbers");
  }
  if (biases->size() > kMaxLogitBiases) {
    return fields.fail("logit_bias", "more than " + std::to_string(kMaxLogitBiases) + " tokens");
  }
  for (const auto& [key, value] : biases->items()) {
    std::uint32_t id = 0;
    const auto [end, fault] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (fault != std::errc() || end != key.data() + key.size()) {
      return fields.fail("logit_bias", "\"" + key.substr(0, 40) + "\" is no token id");
    }
    const double bias = value.is_number() ? value.get<double>() : -1000;
    if (!(bias >= -100 && bias <= 100)) {
      return fields.fail("logit_bias", "token " + key + ": expected a number in [-100, 100]");
    }
    sampling.logit_bias.emplace_back(id, static_cast<float>(bias));
  }
  std::sort(sampling.logit_bias.begin(), sampling.logit_bias.end());
  for (std::size_t i = 1; i < sampling.logit_bias.size(); ++i) {
    if (sampling.logit_bias[i - 1].first == sampling.logit_bias[i].first) {
      return fields.fail("logit_bias",
                         "token " + std::to_string(sampling.logit_bias[i].first) + " twice");
    }
  }
}

void read_seed(FieldReader& fields, GenerationRequest& request) {
  const auto seed = fields.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max());
  if (!seed) return;
  request.sampling.seed = static_cast<std::uint64_t>(*seed);
  request.has_seed = true;
}

void read_lockstep(FieldReader& fields, GenerationRequest& request) {
  const OrderedJson* options = fields.take("lockstep");
  if (options == nullptr) return;
  FieldReader inner(*options, "lockstep.");
  request.answer.receipt = inner.flag("receipt").value_or(false);
  if (const auto name = inner.text("priority", 32)) {
    if (*name == "interactive") request.priority = PriorityClass::kInteractive;
    if (*name == "normal") request.priority = PriorityClass::kNormal;
    if (*name == "batch") request.priority = PriorityClass::kBatch;
    if (!request.priority) {
      inner.fail("priority", "expected \"interactive\", \"normal\" or \"batch\"");
    }
  }
  inner.finish();
  if (inner.fault()) fields.fail(*inner.fault());
}

}  // namespace

std::optional<std::vector<std::uint32_t>> read_token_ids(const OrderedJson& list, const char* name,
                                                         FieldReader& fields) {
  std::vector<std::uint32_t> ids;
  ids.reserve(list.size());
  for (const OrderedJson& id : list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX) {
      fields.fail(name, "expected token ids, integers from 0");
      return std::nullopt;
    }
    ids.push_back(id.get<std::uint32_t>());
  }
  return ids;
}

void read_sampling_fields(FieldReader& fields, GenerationRequest& request) {
  SamplingParams& sampling = request.sampling;
  constexpr double kTiny = 1e-6;
  sampling.temperature = 1.0F;  // OpenAI's default.
  read_float(fields, "temperature", 0, 2, sampling.temperature);
  read_float(fields, "top_p", kTiny, 1, sampling.top_p);
  read_float(fields, "min_p", 0, 1, sampling.min_p);
  read_float(fields, "repetition_penalty", kTiny, 100, sampling.repetition_penalty);
  read_float(fields, "frequency_penalty", -2, 2, sampling.frequency_penalty);
  read_float(fields, "presence_penalty", -2, 2, sampling.presence_penalty);
  if (const auto k = fields.integer("top_k", -1, INT32_MAX)) {
    sampling.top_k = *k < 0 ? 0 : static_cast<std::uint32_t>(*k);
  }
  sampling.ignore_eos = fields.flag("ignore_eos").value_or(false);
  request.num_choices = static_cast<std::uint32_t>(fields.integer("n", 1, kMaxChoices).value_or(1));
  read_seed(fields, request);
  read_stop(fields, sampling.stop);
  read_logit_bias(fields, sampling);
}

void read_answer_fields(FieldReader& fields, GenerationRequest& request) {
  request.model = fields.text("model", 256).value_or("");
  request.answer.stream = fields.flag("stream").value_or(false);
  fields.text("user", 512);
  read_lockstep(fields, request);
  if (const OrderedJson* options = fields.take("stream_options")) {
    if (!request.answer.stream) fields.fail("stream_options", "is allowed with stream: true only");
    FieldReader inner(*options, "stream_options.");
    request.answer.include_usage = inner.flag("include_usage").value_or(false);
    inner.finish();
    if (inner.fault()) fields.fail(*inner.fault());
  }
  // The hashes of a result cover a digest of every token's logits, which cost time to make.
  request.sampling.trace = request.answer.receipt ? TraceKind::kLogits : TraceKind::kTokens;
}

}  // namespace lockstep
