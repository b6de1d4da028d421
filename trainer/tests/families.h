// A very small model of every family, as its config.json would be: windows shorter than the sequences, scaled positions,
// some of them beyond the length where longrope changes, and every option that changes what is computed.
#pragma once

#include <string>
#include <vector>

#include "io/model_config.h"

inline const std::vector<std::string>& family_config_texts() {
  static const std::vector<std::string> texts = {
      R"("model_type":"llama")",
      R"("model_type":"llama","tie_word_embeddings":true,"attention_bias":true,"mlp_bias":true,"head_dim":6,
         "rope_scaling":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":8})",
      R"("model_type":"mistral","sliding_window":3,"rope_parameters":{"rope_type":"linear","factor":2,"rope_theta":1000})",
      R"("model_type":"qwen2","use_sliding_window":true,"sliding_window":3,"max_window_layers":1)",
      R"("model_type":"qwen3","head_dim":4,"attention_bias":true)",
      R"("model_type":"gemma2","head_dim":4,"query_pre_attn_scalar":3,"sliding_window":3,"attn_logit_softcapping":2,"final_logit_softcapping":3)",
      R"("model_type":"gemma3_text","head_dim":4,"query_pre_attn_scalar":3,"sliding_window":3,"sliding_window_pattern":2,"rope_theta":5000,
         "rope_local_base_freq":100,"rope_scaling":{"rope_type":"linear","factor":8})",
      R"("model_type":"phi3","partial_rotary_factor":0.5,"head_dim":4,"original_max_position_embeddings":5,
         "rope_scaling":{"type":"longrope","short_factor":[1.5],"long_factor":[3]})",
      R"("model_type":"smollm3","no_rope_layer_interval":2,"use_sliding_window":true,"sliding_window":3)",
  };
  return texts;
}

inline std::vector<concord::ModelConfig> family_configs(int layers = 2) {
  std::vector<concord::ModelConfig> configs;
  for (const std::string& text : family_config_texts()) {
    const std::string all = "{" + text + R"(,"hidden_size":8,"intermediate_size":12,"num_attention_heads":4,"num_hidden_layers":)" + std::to_string(layers) +
                            R"(,"num_key_value_heads":2,"vocab_size":11,"max_position_embeddings":32})";
    configs.push_back(concord::parse_model_config(concord::parse_json(all, "config.json"), "config.json"));
  }
  return configs;
}
