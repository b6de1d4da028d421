// The ids that end a sample.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/model_config.h"

namespace concord {

// eos_token_id of generation_config.json where the model's folder has one that names it, as transformers' generate reads
// it; else that of config.json. Empty: none.
std::vector<int64_t> model_stop_tokens(const std::string& model_dir, const ModelConfig& config);

}  // namespace concord
