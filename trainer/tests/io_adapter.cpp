#include <cmath>
#include <filesystem>
#include <limits>

#include "check.h"
#include "error.h"
#include "io/adapter.h"
#include "temp_dir.h"

using namespace concord;

static ModelConfig model() {
  return parse_model_config(
      parse_json(
          R"({"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":16})",
          "c"),
      "c");
}
static AdapterConfig parse(const std::string& members) {
  return parse_adapter_config(parse_json("{\"peft_type\":\"LORA\"" + (members.empty() ? "" : "," + members) + "}", "a.json"), "a.json");
}

TEST("an adapter comes back as written") {
  TempDir dir;
  AdapterConfig config;
  config.r = 3;
  config.lora_alpha = 6;
  config.base_model_name_or_path = "some/base";
  config.rank_pattern = {{"down_proj", 2}};
  config.alpha_pattern = {{"layers.1.self_attn.q_proj", 1.5}};
  Adapter adapter = new_adapter(config, model());
  CHECK_EQ(adapter.modules.size(), size_t{14});
  float next = 0;
  for (LoraModule& module : adapter.modules) {
    for (float& v : module.a) v = next += 0.25f;
    for (float& v : module.b) v = -(next += 0.25f);
  }
  write_adapter(dir / "a", adapter);
  const Adapter back = read_adapter(dir / "a", model());
  CHECK_EQ(back.modules.size(), adapter.modules.size());
  for (size_t i = 0; i < back.modules.size(); i++) {
    const LoraModule &got = back.modules[i], &want = adapter.modules[i];
    CHECK_EQ(got.module, want.module);
    CHECK(got.a == want.a && got.b == want.b);
    CHECK_EQ(got.scaling, want.scaling);
    CHECK_EQ(got.r, got.module.ends_with("down_proj") ? 2 : 3);
  }
  CHECK_EQ(back.modules[0].scaling, 2.0);
  CHECK_EQ(back.modules[7].scaling, 0.5);  // alpha_pattern on layer 1's q_proj
  CHECK_EQ(back.config.base_model_name_or_path, "some/base");
  const SafetensorsFile file = read_safetensors(dir / "a/adapter_model.safetensors");
  CHECK_EQ(*file.find_metadata("format"), "pt");
  CHECK_EQ(shape_text(file.find("base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight")->shape), "[4, 3]");
}

TEST("all-linear is written as the layers' names, for servers that want real modules") {
  TempDir dir;
  write_adapter(dir / "a", new_adapter(AdapterConfig{}, model()));
  const Json json = parse_json(read_file(dir / "a/adapter_config.json").text(), "x");
  CHECK_EQ(to_text(*json.find("target_modules")), R"(["q_proj","k_proj","v_proj","o_proj","gate_proj","up_proj","down_proj"])");
}

TEST("scaling follows rsLoRA where asked") {
  AdapterConfig config;
  config.r = 4;
  config.lora_alpha = 8;
  CHECK_EQ(new_adapter(config, model()).modules[0].scaling, 2.0);
  config.use_rslora = true;
  CHECK_EQ(new_adapter(config, model()).modules[0].scaling, 4.0);
}

TEST("reads PEFT's defaults") {
  const AdapterConfig config = parse("");
  CHECK_EQ(config.r, 8);
  CHECK_EQ(config.lora_alpha, 8.0);
  CHECK_EQ(config.target_modules.size(), size_t{2});
  CHECK(parse(R"("target_modules":"all-linear")").all_linear);
}

TEST("refuses by name what would change the result") {
  CHECK_THROWS_WITH(parse_adapter_config(parse_json(R"({"peft_type":"LOHA"})", "x"), "x"), "peft_type is \"LOHA\"");
  CHECK_THROWS_WITH(parse_adapter_config(parse_json("{}", "x"), "x"), "peft_type is missing");
  for (const char* member :
       {R"("modules_to_save":["lm_head"])", R"("layer_replication":[[0,2]])", R"("layers_to_transform":[0])",
        R"("exclude_modules":["q_proj"])", R"("lora_bias":true)", R"("fan_in_fan_out":true)", R"("use_qalora":true)",
        R"("trainable_token_indices":[1])", R"("target_parameters":["x"])", R"("kasa_config":{"beta":1})", R"("use_bdlora":{"nblocks":2})",
        R"("alora_invocation_tokens":[1])", R"("megatron_config":{"a":1})", R"("loftq_config":{"bits":4})", R"("a_key_of_tomorrow":1)"}) {
    const std::string text = member;
    CHECK_THROWS_WITH(parse(text), "a.json: " + text.substr(1, text.find(':') - 2) + " is set, which is not supported");
  }
  CHECK_THROWS_WITH(parse(R"("bias":"all")"), "bias is not \"none\"");
  CHECK_THROWS_WITH(parse(R"("task_type":"SEQ_CLS")"), "task_type is \"SEQ_CLS\"");
  for (const char* init : {"pissa", "olora", "corda", "loftq", "mica"})
    CHECK_THROWS_WITH(parse("\"init_lora_weights\":\"" + std::string(init) + "\""), "init_lora_weights is \"" + std::string(init));
  CHECK_THROWS_WITH(parse(R"("r":0)"), "r is 0, but must be from 1 to 1024");
  CHECK_THROWS_WITH(parse(R"("r":1025)"), "r is 1025");
  CHECK_THROWS_WITH(parse(R"("r":8.0)"), "r must be an integer");
  CHECK_THROWS_WITH(parse(R"("target_modules":".*_proj")"), "must be \"all-linear\" or a list");
  CHECK_THROWS_WITH(parse(R"("target_modules":["(q|v)_proj"])"), "plain module names");
  CHECK_THROWS_WITH(parse(R"("target_modules":["q_proj","q_proj"])"), "twice");
  CHECK_THROWS_WITH(parse(R"("target_modules":[])"), "target_modules is empty");
  CHECK_THROWS_WITH(parse(R"("rank_pattern":{"^q.*":4})"), "rank_pattern holds \"^q.*\"");
  CHECK_THROWS_WITH(parse(R"("rank_pattern":{"q_proj":0})"), "rank_pattern.q_proj is 0");
}

TEST("an adapter that does not fit the model is refused by name") {
  AdapterConfig config;
  config.all_linear = false;
  config.target_modules = {"q_proj", "c_attn"};
  CHECK_THROWS_WITH(new_adapter(config, model()), "target_modules names \"c_attn\"");
  config.target_modules = {"lm_head"};
  CHECK_THROWS_WITH(new_adapter(config, model()), "lm_head cannot be adapted");
  config.target_modules = {"proj"};  // an ending of a name, but not after a dot
  CHECK_THROWS_WITH(new_adapter(config, model()), "target_modules names \"proj\"");
  config.target_modules = {"q_proj"};
  config.rank_pattern = {{"layers.7.self_attn.q_proj", 2}};
  CHECK_THROWS_WITH(new_adapter(config, model()), "rank_pattern names \"layers.7.self_attn.q_proj\"");
}

TEST("weights that are missing, extra, misshapen or not finite are refused by name") {
  TempDir dir;
  AdapterConfig config;
  config.all_linear = false;
  config.target_modules = {"v_proj"};
  config.r = 2;
  const Adapter adapter = new_adapter(config, model());
  const std::string a0 = "base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight";
  const auto with = [&](auto change) {
    write_adapter(dir / "a", adapter);
    std::vector<TensorOut> out;
    for (const LoraModule& m : adapter.modules) {
      out.push_back({"base_model.model." + m.module + ".lora_A.weight", DType::F32, {m.r, m.in}, m.a.data()});
      out.push_back({"base_model.model." + m.module + ".lora_B.weight", DType::F32, {m.out, m.r}, m.b.data()});
    }
    change(out);
    write_safetensors(dir / "a/adapter_model.safetensors", out, {});
    read_adapter(dir / "a", model());
  };
  const float zeros[64] = {};
  float bad[16] = {};
  with([](auto&) {});
  CHECK_THROWS_WITH(with([](auto& t) { t.erase(t.begin()); }), "\"" + a0 + "\" is missing");
  CHECK_THROWS_WITH(with([&](auto& t) { t.push_back({"base_model.model.lm_head.weight", DType::F32, {16, 4}, zeros}); }), "\"base_model.model.lm_head.weight\" has no place");
  CHECK_THROWS_WITH(with([&](auto& t) { t[0].shape = {4, 4}; }), "\"" + a0 + "\" has the shape [4, 4], but [2, 8] is due");
  bad[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(with([&](auto& t) { t[0].data = bad; }), "\"" + a0 + "\" holds NaN or infinity");
  bad[5] = -std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH(with([&](auto& t) { t[0].data = bad; }), "holds NaN or infinity");
  std::filesystem::rename(dir / "a/adapter_model.safetensors", dir / "a/adapter_model.bin");
  CHECK_THROWS_WITH(read_adapter(dir / "a", model()), "adapter_model.bin, a pickle file");
}

TEST("reads the golden adapter") {
  const std::string golden = std::string(CONCORD_SHARED_DIR) + "/golden/llama/";
  if (!path_exists(golden)) SKIP("no golden folder beside the repository");
  const std::string config_path = golden + "model/config.json";
  const ModelConfig config = parse_model_config(parse_json(read_file(config_path).text(), config_path), config_path);
  const Adapter adapter = read_adapter(golden + "adapter", config);
  CHECK_EQ(adapter.modules.size(), size_t{21});
  CHECK_EQ(adapter.modules[0].scaling, 2.0);
}

TEST("PEFT's own configurations load or are refused by the key that matters") {
  const std::string dir = std::string(CONCORD_SHARED_DIR) + "/data/lora-peft/peft-configs/";
  if (!path_exists(dir)) SKIP("no shared folder beside the repository");
  const auto read = [&](const char* name) {
    const std::string path = dir + name + ".json";
    return parse_adapter_config(parse_json(read_file(path).text(), path), path);
  };
  CHECK_EQ(read("lora__llama-3.2-3B-rank64").r, 64);
  CHECK(read("lora__llama-3.2-3B-rank64-rslora").use_rslora);
  CHECK_EQ(read("lora__llama-3.2-3B-rank10-target-mlp").target_modules.size(), size_t{3});
  CHECK_EQ(read("lora__lora_r8").lora_dropout, 0.1);
  CHECK_THROWS_WITH(read("lora__llama-3.2-3B-rank32-kasa"), "kasa_config");
  CHECK_THROWS_WITH(read("lora__llama-3.2-3B-rank14-target-mlp-bdlora"), "use_bdlora");
  CHECK_THROWS_WITH(read("lora__llama-3.2-3B-rank32-mica"), "init_lora_weights is \"mica\"");
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().stem().string();
    if (!name.starts_with("lora__")) CHECK_THROWS_WITH(read(name.c_str()), "peft_type is");
  }
}
