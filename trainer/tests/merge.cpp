#include <filesystem>

#include "tiny_model.h"

using namespace concord;
using namespace tiny;

namespace {

void merge(const std::string& model, const std::string& adapter, const std::string& out) {
  silently([&] { CHECK_EQ(run_merge(model, adapter, out), 0); });
}

}  // namespace

TEST("a merged model scores as base and adapter do, uneven ranks and rsLoRA too") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  AdapterConfig uneven = rank_four();
  uneven.rank_pattern = {{"q_proj", 7}};
  uneven.use_rslora = true;
  const std::string adapter = write_lora(dir, model, "adapter", uneven);
  merge(model, adapter, dir / "merged");
  Random random(1, 0);
  const std::string groups = GroupsFile().add(random_ids(random, 9), {random_ids(random, 20), random_ids(random, 5)}).write(dir);
  const std::vector<float> with = score(dir, model, groups, adapter).token_logps, got = score(dir, dir / "merged", groups).token_logps;
  CHECK_EQ(got.size(), with.size());
  for (size_t i = 0; i < got.size(); i++) CHECK_NEAR(got[i], with[i], 1e-4);
}

TEST("the base's dtype stays, weights without an adapter keep their bytes, its tokenizer comes along") {
  TempDir dir;
  Json half = config();
  half.set("dtype", "bfloat16");
  const std::string model = write_model(dir, half);
  write_file(model + "/tokenizer.json", "{}");
  AdapterConfig some = rank_four();
  some.all_linear = false;
  some.target_modules = {"v_proj"};
  merge(model, write_lora(dir, model, "adapter", some), dir / "merged");
  const CheckpointDir before = open_checkpoint(model), after = open_checkpoint(dir / "merged");
  for (const auto& [name, tensor] : after.tensors) {
    CHECK(tensor.info->dtype == DType::BF16);
    CHECK_EQ(after.read_weight(name) == before.read_weight(name), name.find("v_proj") == std::string::npos);
  }
  CHECK_EQ(std::string(read_file(dir / "merged/tokenizer.json").text()), "{}");
}

TEST("a folder that holds a model is not written over; a weight too large for float16 is named, and nothing written") {
  TempDir dir;
  const std::string model = write_model(dir, config()), adapter = write_lora(dir, model);
  CHECK_THROWS_WITH(run_merge(model, adapter, model), "already holds config.json; choose another folder");
  Json half = config();
  half.set("dtype", "float16");
  const std::string small = write_model(dir, half, "half");
  AdapterConfig strong = rank_four();
  strong.lora_alpha = 1e6;
  strong.alpha_pattern = {{"down_proj", 1e6}};
  Adapter huge = read_adapter(write_lora(dir, small, "huge", strong), read_checkpoint_config(small));
  for (LoraModule& m : huge.modules)
    for (float& v : m.b) v *= 1000;
  write_adapter(dir / "huge", huge);
  CHECK_THROWS_WITH(run_merge(small, dir / "huge", dir / "merged"), "is too large for the base's float16");
  CHECK(!path_exists(dir / "merged"));
}
