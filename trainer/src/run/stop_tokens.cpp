#include "run/stop_tokens.h"

#include "io/files.h"
#include "io/limits.h"

namespace concord {

std::vector<int64_t> model_stop_tokens(const std::string& model_dir, const ModelConfig& config) {
  const std::string path = join_path(model_dir, "generation_config.json");
  if (!path_exists(path)) return config.eos_token_ids;
  const Json json = parse_json(read_file(path, limits::config_bytes_max).text(), path);
  const JsonAt at{&json, path, ""};
  at.object();
  const JsonAt eos = at["eos_token_id"];
  if (eos.is_null()) return config.eos_token_ids;
  const int64_t last = config.vocab_size - 1;
  if (!eos.json->is_array()) return {eos.integer(0, last)};
  std::vector<int64_t> ids;
  for (size_t i = 0; i < eos.array().size(); i++) ids.push_back(eos[i].integer(0, last));
  return ids;
}

}  // namespace concord
