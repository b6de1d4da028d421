#include "run/serve_request.h"

#include <algorithm>

#include "error.h"
#include "io/limits.h"
#include "run/job_keys.h"

namespace concord {
namespace {

const std::string& name_of(const JsonAt& at) {
  const std::string& name = at.string();
  if (name.empty() || name.size() > limits::name_bytes_max)
    at.refuse("must have from 1 to " + std::to_string(limits::name_bytes_max) + " bytes");
  return name;
}

void check_keys(const JsonAt& at, std::vector<std::string> keys) {
  keys.insert(keys.end(), {"op", "id"});
  for (const auto& [key, value] : at.object()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    const std::string near = nearest_name(key, keys);
    at[key].refuse("is no key of this op" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
}

template <class Id>
std::vector<Id> ids_of(const JsonAt& at, const ModelConfig& config) {
  std::vector<Id> ids;
  for (size_t i = 0; i < at.array().size(); i++) ids.push_back(static_cast<Id>(at[i].integer(0, config.vocab_size - 1)));
  return ids;
}

void read(const JsonAt& at, int64_t& out, int64_t min, int64_t max) {
  if (at) out = at.integer(min, max);
}
void read(const JsonAt& at, double& out, double min, double max) {
  if (at) out = at.number(min, max);
}

GenerateOp parse_generate(const JsonAt& at, const ModelConfig& config, const std::vector<int64_t>& stop) {
  check_keys(at, {"prompt", "adapter", "num_return_sequences", "max_new_tokens", "temperature", "top_p", "top_k", "min_p",
                  "repetition_penalty", "seed", "stop", "stream"});
  GenerateOp op;
  op.ask.prompt = ids_of<int32_t>(at["prompt"], config);
  if (op.ask.prompt.empty()) at["prompt"].refuse("is empty; give at least its first token");
  if (static_cast<int64_t>(op.ask.prompt.size()) >= config.max_position_embeddings)
    at["prompt"].refuse("has " + std::to_string(op.ask.prompt.size()) + " tokens, which leaves no room in the model's " +
                        std::to_string(config.max_position_embeddings) + " positions (max_position_embeddings)");
  if (!at["adapter"].is_null()) op.adapter = name_of(at["adapter"]);
  read(at["num_return_sequences"], op.ask.num_return_sequences, 1, limits::return_sequences_max);
  read(at["max_new_tokens"], op.ask.max_new_tokens, 1, limits::positions_max);
  SamplingOptions& sampling = op.ask.sampling;
  read(at["temperature"], sampling.temperature, 0, 100);
  read(at["top_p"], sampling.top_p, 0, 1);
  read(at["top_k"], sampling.top_k, 0, limits::vocab_size_max);
  read(at["min_p"], sampling.min_p, 0, 1);
  read(at["repetition_penalty"], sampling.repetition_penalty, 0.01, 100);
  read(at["seed"], op.ask.seed, 0, INT64_MAX);
  op.ask.stop = at["stop"] ? ids_of<int64_t>(at["stop"], config) : stop;
  if (at["stream"]) op.stream = at["stream"].boolean();
  return op;
}

}  // namespace

ServeRequest parse_serve_request(const Json& json, const ModelConfig& config, const std::vector<int64_t>& stop) {
  const JsonAt at{&json, "request", ""};
  at.object();
  ServeRequest request;
  request.id = name_of(at["id"]);
  const std::string& op = at["op"].string();
  if (op == "generate") {
    request.op = parse_generate(at, config, stop);
  } else if (op == "cancel") {
    check_keys(at, {});
    request.op = CancelOp{};
  } else if (op == "load") {
    check_keys(at, {"adapter", "path"});
    request.op = LoadOp{name_of(at["adapter"]), at["path"].string()};
  } else if (op == "unload") {
    check_keys(at, {"adapter"});
    request.op = UnloadOp{name_of(at["adapter"])};
  } else {
    at["op"].refuse("is " + in_quotes(op) + ", but must be one of: generate, cancel, load, unload");
  }
  return request;
}

Json request_id(const Json& json) {
  const Json* id = json.find("id");
  const bool is_right = id && id->is_string() && std::get<std::string>(id->value).size() <= limits::name_bytes_max;
  return is_right ? *id : Json();
}

}  // namespace concord
