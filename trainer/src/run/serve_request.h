// One line of what `serve` is asked, checked (README, "Serve").
// defines: ServeRequest, parse_serve_request, request_id
#pragma once

#include <string>
#include <variant>

#include "io/json.h"
#include "io/model_config.h"
#include "run/generator.h"

namespace concord {

struct GenerateOp {
  GenerationRequest ask;  // without its adapter
  std::string adapter;    // by name; empty: the base alone
  bool stream = true;     // an event for every token
};
struct CancelOp {};
struct LoadOp {
  std::string adapter, path;
};
struct UnloadOp {
  std::string adapter;
};

struct ServeRequest {
  std::string id;
  std::variant<GenerateOp, CancelOp, LoadOp, UnloadOp> op;
};

// `stop` is what ends samples where the request does not say. Failure(2) names key and remedy.
ServeRequest parse_serve_request(const Json& json, const ModelConfig& config, const std::vector<int64_t>& stop);

// The request's id, for an answer to one that is refused; null where it has none that is right.
Json request_id(const Json& json);

}  // namespace concord
