// What config.json of every family becomes, in the words of transformers 4 and 5; and what is refused, by name.
#include "check.h"
#include "families.h"

using namespace concord;

namespace {

ModelConfig parse(const std::string& members) {
  const std::string text = "{" + members + R"(,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":4,"num_attention_heads":4,)" +
                           R"("num_key_value_heads":2,"vocab_size":32})";
  return parse_model_config(parse_json(text, "c.json"), "c.json");
}

std::vector<int64_t> windows(const ModelConfig& config) {
  std::vector<int64_t> sizes;
  for (const LayerSpec& layer : config.layers) sizes.push_back(layer.window);
  return sizes;
}

std::vector<int> ropes(const ModelConfig& config) {
  std::vector<int> indices;
  for (const LayerSpec& layer : config.layers) indices.push_back(layer.rope);
  return indices;
}

using Windows = std::vector<int64_t>;

}  // namespace

TEST("mistral: a window in every layer, 4096 where the key is absent and none where it is null") {
  CHECK(windows(parse(R"("model_type":"mistral","sliding_window":7)")) == Windows(4, 7));
  CHECK(windows(parse(R"("model_type":"mistral")")) == Windows(4, 4096));
  CHECK(windows(parse(R"("model_type":"mistral","sliding_window":null)")) == Windows(4, 0));
  CHECK_EQ(parse(R"("model_type":"mistral")").max_position_embeddings, 131072);
}

TEST("qwen: windows from max_window_layers on where use_sliding_window is on, or as layer_types says") {
  CHECK(windows(parse(R"("model_type":"qwen2","sliding_window":7,"max_window_layers":2)")) == Windows(4, 0));
  CHECK(windows(parse(R"("model_type":"qwen2","use_sliding_window":true,"sliding_window":7,"max_window_layers":2)")) == (Windows{0, 0, 7, 7}));
  CHECK(windows(parse(R"("model_type":"qwen3","use_sliding_window":true,"sliding_window":7,"max_window_layers":0,
    "layer_types":["full_attention","sliding_attention","full_attention","full_attention"])")) == (Windows{0, 7, 0, 0}));
  const ModelConfig two = parse(R"("model_type":"qwen2")"), three = parse(R"("model_type":"qwen3")");
  CHECK(two.qkv_bias && !two.o_bias && !two.qk_norm && two.head_dim == 4);
  CHECK(!three.qkv_bias && three.qk_norm && three.head_dim == 128);
  CHECK_THROWS_WITH(parse(R"("model_type":"qwen2","layer_types":["full_attention","sliding_attention","full_attention","full_attention"])"),
                    "layer_types[1] is sliding_attention, but sliding_window is not set or not in use");
  CHECK_THROWS_WITH(parse(R"("model_type":"qwen3","layer_types":["full_attention"])"), "layer_types has 1 entries, but num_hidden_layers is 4");
  CHECK_THROWS_WITH(parse(R"("model_type":"qwen3","layer_types":["full_attention","linear_attention","full_attention","full_attention"])"),
                    "layer_types[1] is \"linear_attention\"");
}

TEST("gemma 2: windows in even layers, caps that null turns off, scale, tied head") {
  const ModelConfig config = parse(R"("model_type":"gemma2","sliding_window":7,"query_pre_attn_scalar":64)");
  CHECK(windows(config) == (Windows{7, 0, 7, 0}));
  CHECK(config.norm_offset == 1 && config.post_norms && config.tie_word_embeddings && config.activation == Activation::gelu_tanh);
  CHECK_EQ(config.attention_scale, 1.0 / 8);
  CHECK_EQ(config.embedding_scale, 4.0);
  CHECK_EQ(config.attention_softcap, 50.0);
  CHECK_EQ(config.final_softcap, 30.0);
  const ModelConfig uncapped = parse(R"("model_type":"gemma2","attn_logit_softcapping":null,"final_logit_softcapping":null,"sliding_window":null)");
  CHECK(uncapped.attention_softcap == 0 && uncapped.final_softcap == 0 && windows(uncapped) == Windows(4, 0));
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma2","hidden_activation":"gelu")"), "hidden_activation is \"gelu\"");
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma2","use_bidirectional_attention":true)"), "use_bidirectional_attention is true");
}

TEST("gemma 3: two thetas, of which only full attention's is scaled, by pattern or layer_types, in old words and new") {
  const ModelConfig old = parse(R"("model_type":"gemma3_text","sliding_window":7,"sliding_window_pattern":3,"rope_theta":5000,
    "rope_local_base_freq":100,"rope_scaling":{"rope_type":"linear","factor":8})");
  const ModelConfig now = parse(R"("model_type":"gemma3_text","sliding_window":7,
    "layer_types":["sliding_attention","sliding_attention","full_attention","sliding_attention"],
    "rope_parameters":{"sliding_attention":{"rope_type":"default","rope_theta":100},
                       "full_attention":{"rope_type":"linear","rope_theta":5000,"factor":8}})");
  for (const ModelConfig& config : {old, now}) {
    CHECK(windows(config) == (Windows{7, 7, 0, 7}));
    CHECK(ropes(config) == (std::vector<int>{1, 1, 0, 1}));
    CHECK(config.ropes[0].theta == 5000 && config.ropes[0].scaling.type == RopeScaling::Type::linear);
    CHECK(config.ropes[1].theta == 100 && config.ropes[1].scaling.type == RopeScaling::Type::none);
    CHECK(config.qk_norm && config.attention_softcap == 0);
  }
  const ModelConfig defaults = parse(R"("model_type":"gemma3_text")");
  CHECK(defaults.ropes[0].theta == 1e6 && defaults.ropes[1].theta == 1e4 && defaults.layers[0].window == 4096);
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma3","text_config":{})"), "model_type \"gemma3\" is not supported");
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma3_text","attn_logit_softcapping":50)"), "attn_logit_softcapping is set");
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma3_text","sliding_window":null)"), "sliding_window is null, but some layers");
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma3_text","rope_parameters":{"rope_type":"default"})"), "rope_parameters.rope_type is not a layer type");
  CHECK_THROWS_WITH(parse(R"("model_type":"gemma3_text","rope_scaling":{"rope_type":"longrope"})"), "rope_type is \"longrope\"");
}

TEST("phi 3: fused projections, partial rotation, longrope under its three names, its own copy of the code named and not run") {
  for (const char* type : {"su", "yarn", "longrope"}) {
    const ModelConfig config = parse(R"("model_type":"phi3","head_dim":8,"partial_rotary_factor":0.75,"max_position_embeddings":64,
      "original_max_position_embeddings":16,"rope_scaling":{"type":")" + std::string(type) +
                                     R"(","short_factor":[1,2,3],"long_factor":[4,5,6]},"auto_map":{"AutoConfig":"configuration_phi3.Phi3Config"})");
    CHECK_EQ(config.ropes[0].rotary_dim, 6);
    CHECK(config.ropes[0].scaling.type == RopeScaling::Type::longrope);
    CHECK_NEAR(config.ropes[0].scaling.attention_factor, std::sqrt(1 + std::log(4) / std::log(16)), 1e-15);
    CHECK_EQ(config.longrope_length(), 16);
    CHECK_EQ(config.growth_limit(16), 17);
    CHECK_EQ(config.growth_limit(17), 64);
    CHECK_EQ(model_linears(config)[0].module, "model.layers.0.self_attn.qkv_proj");
    CHECK_EQ(model_linears(config)[0].out, 4 * 8 + 2 * 2 * 8);
    CHECK_EQ(model_linears(config)[2].module, "model.layers.0.mlp.gate_up_proj");
  }
  CHECK_THROWS_WITH(parse(R"("model_type":"phi3","rope_scaling":{"type":"longrope","short_factor":[1],"long_factor":[4,5]})"),
                    "rope_scaling.short_factor has 1 factors, but 2 pairs of elements are rotated");
  CHECK_THROWS_WITH(parse(R"("model_type":"phi3","rope_scaling":{"type":"longrope","short_factor":[1,2]})"), "rope_scaling.long_factor is missing");
  CHECK_THROWS_WITH(parse(R"("model_type":"phi3","rope_scaling":{"type":"linear","factor":2})"), "supported: default, longrope");
  CHECK_THROWS_WITH(parse(R"("model_type":"phi3","partial_rotary_factor":0.3)"), "partial_rotary_factor rotates 1 of 4 elements");
  CHECK_THROWS_WITH(parse(R"("model_type":"phi3","resid_pdrop":0.1)"), "resid_pdrop is not 0");
  CHECK_THROWS_WITH(parse(R"("model_type":"phi3","auto_map":{"AutoConfig":"configuration_other.Config"})"), "auto_map is refused");
}

TEST("smollm3: layers without positions, by list or by interval, and windows in those") {
  CHECK(ropes(parse(R"("model_type":"smollm3")")) == (std::vector<int>{0, 0, 0, -1}));
  const ModelConfig listed = parse(R"("model_type":"smollm3","no_rope_layers":[1,0,0,1],"use_sliding_window":true,"sliding_window":7)");
  CHECK(ropes(listed) == (std::vector<int>{0, -1, -1, 0}));
  CHECK(windows(listed) == (Windows{0, 7, 7, 0}));
  CHECK(listed.tie_word_embeddings && listed.ropes[0].theta == 2e6);
  CHECK_THROWS_WITH(parse(R"("model_type":"smollm3","no_rope_layers":[1,0])"), "no_rope_layers has 2 entries");
  CHECK_THROWS_WITH(parse(R"("model_type":"smollm3","no_rope_layers":[1,0,2,1])"), "no_rope_layers[2] is 2");
}

TEST("yarn: its attention factor by its own rule, by mscale, or as given") {
  const auto factor = [](const char* more) {
    return parse(std::string(R"("model_type":"llama","rope_scaling":{"rope_type":"yarn","factor":4)") + more + "}").ropes[0].scaling.attention_factor;
  };
  CHECK_NEAR(factor(""), 0.1 * std::log(4) + 1, 1e-15);
  CHECK_NEAR(factor(R"(,"mscale":2,"mscale_all_dim":0.5)"), (0.2 * std::log(4) + 1) / (0.05 * std::log(4) + 1), 1e-15);
  CHECK_EQ(factor(R"(,"attention_factor":1.25)"), 1.25);
}

TEST("positions that are not computed here are refused by name, and so is a key that would change them") {
  for (const char* type : {"dynamic", "proportional", "ntk"})
    CHECK_THROWS_WITH(parse(R"("model_type":"llama","rope_scaling":{"rope_type":")" + std::string(type) + R"(","factor":2})"),
                      "rope_scaling.rope_type is \"" + std::string(type) + "\", which is not supported");
  CHECK_THROWS_WITH(parse(R"("model_type":"llama","rope_parameters":{"full_attention":{"rope_theta":100}})"),
                    "rope_parameters.full_attention is not supported");
  CHECK_THROWS_WITH(parse(R"("model_type":"qwen2","rope_scaling":{"type":"default","mrope_section":[2,2]})"),
                    "rope_scaling.mrope_section is not supported");
}

TEST("what a family does not have of what others have is not read into it") {
  CHECK(!parse(R"("model_type":"mistral","attention_bias":true)").qkv_bias);  // as transformers: Mistral has none
  CHECK_EQ(parse(R"("model_type":"llama","sliding_window":7)").layers[0].window, 0);
  CHECK_EQ(parse(R"("model_type":"llama","final_logit_softcapping":7.0)").final_softcap, 0.0);
}
