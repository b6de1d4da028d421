// score: log-probabilities that do not depend on what stands beside a completion, in any layout of the checkpoint.
#include "tiny_model.h"

using namespace tiny;

namespace {

const std::string stories = std::string(CONCORD_SHARED_DIR) + "/data/tiny-llm-stories260k";

GroupsFile mixed_groups(int64_t groups) {
  Random random(11, 0);
  GroupsFile file;
  for (int64_t g = 0; g < groups; g++) {
    std::vector<Ids> completions;
    for (uint64_t k = 0; k <= random.below(5); k++) completions.push_back(random_ids(random, 1 + static_cast<int64_t>(random.below(20))));
    file.add(random_ids(random, 1 + static_cast<int64_t>(random.below(40))), completions);
  }
  return file;
}

double largest_difference(const std::vector<float>& got, const std::vector<float>& want) {
  CHECK_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); i++) worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i]) / std::max(1.f, std::abs(want[i])));
  return worst;
}

Ids ids_of(const JsonAt& at) {
  Ids ids;
  for (size_t i = 0; i < at.array().size(); i++) ids.push_back(static_cast<int32_t>(at[i].integer(0, 511)));
  return ids;
}

// The checkpoint's weights as floats, written under another name, changed by `change(tensor name, values)`.
template <class F>
std::string rewrite_model(const TempDir& dir, const std::string& model, const std::string& name, F&& change) {
  const CheckpointDir checkpoint = open_checkpoint(model);
  std::vector<std::vector<float>> values;
  std::vector<TensorOut> out;
  for (const TensorSpec& spec : model_tensors(checkpoint.config)) {
    values.push_back(checkpoint.read_weight(spec.name));
    change(spec.name, values.back());
    out.push_back({spec.name, DType::F32, spec.shape, values.back().data()});
  }
  write_checkpoint(dir / name, checkpoint.config_json, out);
  return dir / name;
}

}  // namespace

TEST("a completion scores the same in its group as alone, with an adapter or without") {
  TempDir dir;
  const std::string model = write_model(dir, config()), adapter = write_lora(dir, model);
  const GroupsFile file = mixed_groups(60);  // more tokens than go through the model at once
  CHECK(file.groups.tokens.size() > 2048);
  const std::string together = file.write(dir), apart = one_by_one(file.groups).write(dir, "apart.safetensors");
  for (const std::string& with : {std::string(), adapter}) {
    const Scores got = score(dir, model, together, with), want = score(dir, model, apart, with);
    CHECK(largest_difference(got.token_logps, want.token_logps) < 1e-5);
    CHECK(largest_difference(got.logps, want.logps) < 1e-5);
  }
}

TEST("another completion's tokens change nothing, not even in the last bit") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  Random random(2, 0);
  const Ids prompt = random_ids(random, 9), mine = random_ids(random, 7), other = random_ids(random, 12), changed = random_ids(random, 12);
  const auto first = [&](const Ids& beside) {
    const Scores scores = score(dir, model, GroupsFile().add(prompt, {mine, beside}).write(dir));
    return std::vector<float>(scores.token_logps.begin(), scores.token_logps.begin() + 7);
  };
  CHECK(first(other) == first(changed));
}

TEST("a completion is scored from the prompt on: the sum of the chain of single tokens") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  Random random(4, 0);
  const Ids prompt = random_ids(random, 5), completion = random_ids(random, 6);
  const Scores whole = score(dir, model, GroupsFile().add(prompt, {completion}).write(dir));
  Ids context = prompt;
  for (size_t i = 0; i < completion.size(); i++) {
    const Scores one = score(dir, model, GroupsFile().add(context, {{completion[i]}}).write(dir));
    CHECK_NEAR(whole.token_logps[i], one.logps[0], 1e-5 * std::abs(one.logps[0]) + 1e-6);
    context.push_back(completion[i]);
  }
}

TEST("probabilities of all next tokens add up to 1") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  std::vector<Ids> every;
  for (int32_t id = 0; id < 61; id++) every.push_back({id});
  double sum = 0;
  for (const float logp : score(dir, model, GroupsFile().add({5, 6, 7}, every).write(dir)).logps) sum += std::exp(logp);
  CHECK_NEAR(sum, 1, 1e-5);
}

TEST("without a prompt the first token is context only") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  const Scores alone = score(dir, model, GroupsFile().add({}, {{4, 9, 13}, {7}}).write(dir));
  CHECK_EQ(alone.token_logps.size(), size_t{4});
  CHECK_EQ(alone.token_logps[0], 0.f);
  CHECK_EQ(alone.token_logps[3], 0.f);
  CHECK_EQ(alone.logps[1], 0.f);
  const Scores prompted = score(dir, model, GroupsFile().add({4}, {{9, 13}}).write(dir));
  CHECK_NEAR(alone.token_logps[1], prompted.token_logps[0], 1e-5);
  CHECK_NEAR(alone.token_logps[2], prompted.token_logps[1], 1e-5);
}

TEST("token_mask is for training: score writes every token") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  GroupsFile file;
  file.add({1, 3}, {{4, 5, 6}});
  const Scores want = score(dir, model, file.write(dir));
  file.groups.token_mask = {0, 0, 1, 0, 0};
  CHECK(score(dir, model, file.write(dir)).token_logps == want.token_logps);
}

TEST("half-precision checkpoints score as their values in F32 do, shards as one file does") {
  TempDir dir;
  const std::string groups = mixed_groups(6).write(dir);
  for (const char* dtype : {"float16", "bfloat16", "float32"}) {
    Json c = config();
    c.set("dtype", dtype);
    const std::string name = std::string("m-") + dtype, model = write_model(dir, c, name);
    const Scores want = score(dir, model, groups);
    const std::string widened = rewrite_model(dir, model, name + "-f32", [](const std::string&, std::vector<float>&) {});
    CHECK(score(dir, widened, groups).token_logps == want.token_logps);

    const SafetensorsFile whole = read_safetensors(model + "/model.safetensors");
    std::vector<TensorOut> parts[2];
    Json::Object map;
    for (const TensorView& view : whole.tensors) {
      const size_t part = map.size() % 2;
      parts[part].push_back({view.name, view.dtype, view.shape, view.data});
      map.emplace_back(view.name, part == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors");
    }
    const std::string sharded = dir / (name + "-shards");
    dir.write(name + "-shards/config.json", to_text(c));
    dir.write(name + "-shards/model.safetensors.index.json", to_text(Json::Object{{"metadata", Json::Object{}}, {"weight_map", map}}));
    write_safetensors(sharded + "/model-00001-of-00002.safetensors", parts[0], {});
    write_safetensors(sharded + "/model-00002-of-00002.safetensors", parts[1], {});
    CHECK(score(dir, sharded, groups).token_logps == want.token_logps);
  }
}

// Merges an adapter of this configuration by its definition, W + scaling B A, and compares.
static void check_merged(const AdapterConfig& adapter_config) {
  TempDir dir;
  const std::string model = write_model(dir, config()), adapter_dir = write_lora(dir, model, "adapter", adapter_config);
  const Adapter adapter = read_adapter(adapter_dir, read_checkpoint_config(model));
  const std::string merged = rewrite_model(dir, model, "merged", [&](const std::string& name, std::vector<float>& w) {
    for (const LoraModule& m : adapter.modules) {
      if (m.module + ".weight" != name) continue;
      for (int64_t i = 0; i < m.out; i++)
        for (int64_t j = 0; j < m.in; j++) {
          double sum = 0;
          for (int64_t r = 0; r < m.r; r++) sum += static_cast<double>(m.b[i * m.r + r]) * m.a[r * m.in + j];
          w[i * m.in + j] += static_cast<float>(m.scaling * sum);
        }
    }
  });
  const std::string groups = mixed_groups(6).write(dir);
  const std::vector<float> with = score(dir, model, groups, adapter_dir).token_logps;
  CHECK(largest_difference(with, score(dir, merged, groups).token_logps) < 1e-4);
  CHECK(largest_difference(with, score(dir, model, groups).token_logps) > 1e-2);
}

TEST("an adapter scores as the merged weights do, with ranks and scalings of its own for some layers") {
  check_merged(rank_four());
  AdapterConfig uneven = rank_four();
  uneven.rank_pattern = {{"q_proj", 7}, {"up_proj", 1}};
  uneven.alpha_pattern = {{"v_proj", 40}};
  check_merged(uneven);
  uneven.use_rslora = true;
  check_merged(uneven);
  AdapterConfig some = rank_four();
  some.all_linear = false;
  some.target_modules = {"v_proj", "up_proj", "1.mlp.down_proj"};
  check_merged(some);
}

TEST("the same bytes whatever the number of threads") {
  TempDir dir;
  const std::string model = write_model(dir, config()), groups = mixed_groups(60).write(dir);
  std::string bytes[2];
  for (const char* threads : {"1", "3"}) {
    setenv("CONCORD_THREADS", threads, 1);
    score(dir, model, groups);
    bytes[threads[0] == '3'] = std::string(read_file(dir / "scores.safetensors").text());
  }
  unsetenv("CONCORD_THREADS");
  CHECK(bytes[0] == bytes[1]);
}

TEST("stories260K: published log-probabilities of a really trained model") {
  if (!path_exists(stories)) SKIP("needs " + stories);
  TempDir dir;
  const std::string path = stories + "/golden-losses.json";
  const Json json = parse_json(read_file(path).text(), path);
  const JsonAt golden{&json, path, ""};
  const Ids text = ids_of(golden["sft"]["input_ids"]);
  const Scores scores = score(dir, stories + "/hf", GroupsFile().add({}, {text}).write(dir));
  for (size_t i = 1; i < text.size(); i++) {
    const double want = golden["sft"]["token_logprobs"][i - 1].number(-100, 0);
    CHECK_NEAR(scores.token_logps[i], want, 1e-4 * std::abs(want) + 1e-6);
  }
  GroupsFile pairs;
  std::vector<double> want;
  for (size_t p = 0; p < golden["dpo"].array().size(); p++) {
    const JsonAt pair = golden["dpo"][p];
    Ids prompt;
    std::vector<Ids> completions;
    for (const std::string side : {"chosen", "rejected"}) {
      const Ids ids = ids_of(pair[side + "_ids"]);
      const int64_t start = pair[side + "_completion_start"].integer(0, 512);
      prompt.assign(ids.begin(), ids.begin() + start);
      completions.emplace_back(ids.begin() + start, ids.end());
      want.push_back(pair["ref_" + side + "_logp"].number(-1e4, 0));
    }
    pairs.add(prompt, completions);
  }
  const Scores got = score(dir, stories + "/hf", pairs.write(dir));
  CHECK_EQ(got.logps.size(), want.size());
  for (size_t i = 0; i < want.size(); i++) CHECK_NEAR(got.logps[i], want[i], 1e-4 * std::abs(want[i]));
}
