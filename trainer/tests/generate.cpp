// generate: the cache agrees with running the whole sequence, samples follow the model's distribution and the seed, and
// every way to end does end. `score` is the oracle.
#include "error.h"
#include "run/stop_tokens.h"
#include "tiny_model.h"

using namespace tiny;

namespace {

const std::string stories = std::string(CONCORD_SHARED_DIR) + "/data/tiny-llm-stories260k";

GenerateArgs args_for(const TempDir& dir, const std::string& model, const std::string& groups) {
  GenerateArgs args;
  args.model = model;
  args.groups = groups;
  args.out = dir / "samples.safetensors";
  args.stop = std::vector<int64_t>{};
  return args;
}

Groups samples(const GenerateArgs& args) {
  CHECK_EQ(run_generate(args), 0);
  return read_groups(args.out);
}

Ids ids(std::span<const int32_t> tokens) { return {tokens.begin(), tokens.end()}; }

std::string bytes(const GenerateArgs& args) {
  samples(args);
  return std::string(read_file(args.out).text());
}

// The next id of largest log-probability after `context`, each scored as a completion of it.
int32_t best_next(const TempDir& dir, const GenerateArgs& args, const Ids& context) {
  std::vector<Ids> every;
  for (int32_t id = 0; id < 61; id++) every.push_back({id});
  const std::vector<float> logps = score(dir, args.model, GroupsFile().add(context, every).write(dir, "every.safetensors"), args.adapter).logps;
  return static_cast<int32_t>(std::max_element(logps.begin(), logps.end()) - logps.begin());
}

std::string three_prompts(const TempDir& dir) {
  return GroupsFile().add({1}).add({3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}).add({8, 8, 8}).write(dir);
}

}  // namespace

TEST("each greedy token is the best of all that score could follow with, with an adapter or without") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  GenerateArgs args = args_for(dir, model, three_prompts(dir));
  args.temperature = 0;
  args.max_new_tokens = 8;
  args.num_return_sequences = 2;
  for (const std::string& adapter : {std::string(), write_lora(dir, model)}) {
    args.adapter = adapter;
    const Groups out = samples(args);
    for (int64_t g = 0; g < out.n_groups(); g++) {
      CHECK_EQ(out.completions_end(g) - out.completions_begin(g), 2);
      for (int64_t s = out.completions_begin(g); s < out.completions_end(g); s++) {
        CHECK_EQ(out.segment_length(s), 8);
        Ids context = ids(out.segment_tokens(out.prompt_of(g)));
        for (const int32_t id : out.segment_tokens(s)) {
          CHECK_EQ(id, best_next(dir, args, context));
          context.push_back(id);
        }
      }
    }
  }
}

TEST("samples follow the model's distribution") {
  TempDir dir;
  const std::string model = write_model(dir, config()), groups = GroupsFile().add({7, 9}).write(dir);
  GenerateArgs args = args_for(dir, model, groups);
  args.num_return_sequences = 1024;
  args.max_new_tokens = 2;
  const Groups out = samples(args);
  std::vector<double> first(61, 0);
  for (int64_t s = out.completions_begin(0); s < out.completions_end(0); s++) first[out.segment_tokens(s)[0]]++;
  std::vector<Ids> every;
  for (int32_t id = 0; id < 61; id++) every.push_back({id});
  const Scores scores = score(dir, model, GroupsFile().add({7, 9}, every).write(dir, "every.safetensors"));
  for (int32_t id = 0; id < 61; id++) {
    const double p = std::exp(scores.logps[id]), deviation = std::sqrt(1024 * p * (1 - p));
    CHECK_NEAR(first[id], 1024 * p, 5 * deviation + 1);
  }
}

TEST("the same seed gives the same bytes on any number of threads, another seed others") {
  TempDir dir;
  GenerateArgs args = args_for(dir, write_model(dir, config()), three_prompts(dir));
  args.num_return_sequences = 70;  // more than advance together
  args.max_new_tokens = 12;
  args.top_p = 0.95;
  const std::string first = bytes(args);
  CHECK(bytes(args) == first);
  setenv("CONCORD_THREADS", "1", 1);
  CHECK(bytes(args) == first);
  unsetenv("CONCORD_THREADS");
  args.seed = 43;
  CHECK(bytes(args) != first);
}

TEST("samples of a group differ from one another, and from those of an equal prompt in another group") {
  TempDir dir;
  GenerateArgs args = args_for(dir, write_model(dir, config()), GroupsFile().add({5, 6}).add({5, 6}).write(dir));
  args.num_return_sequences = 8;
  args.max_new_tokens = 20;
  const Groups out = samples(args);
  std::vector<Ids> all;
  for (int64_t g = 0; g < 2; g++)
    for (int64_t s = out.completions_begin(g); s < out.completions_end(g); s++) all.push_back(ids(out.segment_tokens(s)));
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
}

TEST("the file that comes out holds the prompts it was given; completions that stood there are ignored") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  GroupsFile with;
  with.add({1, 2, 3}, {{4, 5}, {6}}).add({9}, {{1}});
  with.groups.segment_tiers = {-1, 0, 1, -1, 0};
  GenerateArgs args = args_for(dir, model, with.write(dir));
  args.max_new_tokens = 5;
  args.num_return_sequences = 3;
  const Groups out = samples(args);
  CHECK_EQ(out.n_groups(), 2);
  CHECK(ids(out.segment_tokens(out.prompt_of(0))) == Ids({1, 2, 3}));
  CHECK(ids(out.segment_tokens(out.prompt_of(1))) == Ids({9}));
  CHECK_EQ(out.n_segments(), 8);
  CHECK(out.segment_tiers.empty());
  const std::string first = bytes(args);
  args.groups = GroupsFile().add({1, 2, 3}).add({9}).write(dir, "without.safetensors");
  CHECK(bytes(args) == first);
}

TEST("a sample ends with its stop id, at max_new_tokens, or at the model's last position") {
  TempDir dir;
  Json c = config();
  const std::string model = write_model(dir, c);
  GenerateArgs args = args_for(dir, model, GroupsFile().add({1, 7}).write(dir));
  args.num_return_sequences = 40;
  args.max_new_tokens = 30;
  args.stop = std::vector<int64_t>{11, 12};
  const auto stops = [](int32_t id) { return id == 11 || id == 12; };
  int64_t stopped = 0;
  Groups out = samples(args);
  for (int64_t s = 1; s < out.n_segments(); s++) {
    const Ids sample = ids(out.segment_tokens(s));
    CHECK(std::none_of(sample.begin(), sample.end() - 1, stops));
    CHECK(stops(sample.back()) || sample.size() == 30);
    stopped += stops(sample.back());
  }
  CHECK(stopped > 5 && stopped < 40);
  args.stop = std::vector<int64_t>{};
  args.max_new_tokens = 1000;  // 96 positions, 2 taken
  out = samples(args);
  for (int64_t s = 1; s < out.n_segments(); s++) CHECK_EQ(out.segment_length(s), 94);
}

TEST("a sample that ends early disturbs none that go on") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  GenerateArgs args = args_for(dir, model, three_prompts(dir));
  args.num_return_sequences = 6;
  args.max_new_tokens = 25;
  const Groups whole = samples(args);
  args.stop = std::vector<int64_t>{4, 5, 6, 7};
  const Groups stopped = samples(args);
  for (int64_t s = 0; s < whole.n_segments(); s++) {
    const Ids want = ids(whole.segment_tokens(s)), got = ids(stopped.segment_tokens(s));
    CHECK(got.size() <= want.size() && std::equal(got.begin(), got.end(), want.begin()));
  }
  CHECK(stopped.tokens.size() < whole.tokens.size());
}

TEST("stops where generation_config.json says, else config.json, as transformers does") {
  TempDir dir;
  Json c = config();
  const auto stop = [&](const char* generation_config) {
    if (generation_config) dir.write("g/generation_config.json", generation_config);
    return model_stop_tokens(dir / "g", parse_model_config(c, "config.json"));
  };
  using Stop = std::vector<int64_t>;
  CHECK(stop(nullptr) == Stop{2});
  CHECK(stop("{}") == Stop{2});
  CHECK(stop(R"({"eos_token_id":null})") == Stop{2});
  CHECK(stop(R"({"eos_token_id":5})") == Stop{5});
  CHECK(stop(R"({"eos_token_id":[5,60]})") == (Stop{5, 60}));
  CHECK_THROWS_WITH(stop(R"({"eos_token_id":[5,61]})"), "generation_config.json: eos_token_id[1] is 61, but must be from 0 to 60");
  CHECK_THROWS_WITH(stop(R"({"eos_token_id":"</s>"})"), "eos_token_id must be an integer");
  CHECK_THROWS_WITH(stop("[]"), "must be an object");
  c.set("eos_token_id", nullptr);
  CHECK(stop("{}").empty());

  const std::string model = write_model(dir, config());
  dir.write("model/generation_config.json", R"({"eos_token_id":[20,21,22,23,24,25,26]})");
  GenerateArgs args = args_for(dir, model, GroupsFile().add({1}).write(dir));
  args.stop.reset();
  args.num_return_sequences = 20;
  args.max_new_tokens = 60;
  const Groups out = samples(args);
  for (int64_t s = 1; s < out.n_segments(); s++) {
    const int32_t last = out.segment_tokens(s).back();
    CHECK(out.segment_length(s) == 60 || (last >= 20 && last <= 26));
  }
  CHECK(out.tokens.size() < 20 * 60);
}

TEST("a prompt that is empty or fills the model, a stop id it does not have: refused by group or id") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  const auto run = [&](const GroupsFile& file, std::vector<int64_t> stop = {}) {
    GenerateArgs args = args_for(dir, model, file.write(dir));
    args.stop = stop;
    args.max_new_tokens = 1;
    return run_generate(args);
  };
  CHECK_EQ(run(GroupsFile().add(Ids(95, 1))), 0);
  CHECK_THROWS_WITH(run(GroupsFile().add({1}).add(Ids(96, 1))), "group 1 has a prompt of 96 tokens, which leaves no room in the model's 96 positions");
  CHECK_THROWS_WITH(run(GroupsFile().add({1}).add({}, {{4}})), "group 1 has an empty prompt");
  CHECK_THROWS_WITH(run(GroupsFile().add({1}), {61}), "--stop 61 is not a token of the model, which has 61");
  CHECK_THROWS_WITH(run(GroupsFile().add({1, 61})), "group 0 holds the token id 61");
}

TEST("NaN and infinity in a model are found before anything runs, in the tensor that holds them") {
  for (const float damage : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    TempDir dir;
    const std::string groups = GroupsFile().add({1, 2}, {{3, 4}}).write(dir), model = write_model(dir, config());
    const std::string path = model + "/model.safetensors";
    std::string file(read_file(path).text());
    const SafetensorsFile parsed = read_safetensors(path);
    const TensorView* tensor = parsed.find("model.layers.1.mlp.up_proj.weight");
    std::memcpy(file.data() + (tensor->data - parsed.bytes.data.get()) + 4 * 17, &damage, 4);
    write_file(path, file);
    const std::string why = "the weight \"model.layers.1.mlp.up_proj.weight\" holds " + std::string(std::isnan(damage) ? "NaN" : "infinity") + " at element 17";
    CHECK_THROWS_WITH(run_generate(args_for(dir, model, groups)), why);
    CHECK_THROWS_WITH(run_score({model, "", groups, dir / "scores.safetensors"}), why);
    const std::string job = R"({"model_name_or_path":")" + model + R"(","train_file":")" + groups + R"(","output_dir":")" + (dir / "out") + R"(","objective":"sft"})";
    CHECK_THROWS_WITH(run_train(parse_job(parse_json(job, "job.json"), "job.json"), EventSink::file), why);
    CHECK(!path_exists(dir / "samples.safetensors") && !path_exists(dir / "scores.safetensors") && !path_exists(dir / "out/adapter"));
  }
}

TEST("weights so large that the logits overflow end generate and score with exit code 4 and no file") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  std::string file(read_file(model + "/model.safetensors").text());
  const std::vector<float> huge(32, 3e38f);
  std::memcpy(file.data() + file.size() - 4 * 32, huge.data(), 4 * 32);  // the last norm
  write_file(model + "/model.safetensors", file);
  const std::string groups = GroupsFile().add({1, 2}, {{3, 4}}).write(dir);
  const auto code = [](auto&& f) {
    try {
      f();
    } catch (const Failure& failure) {
      return failure.exit_code;
    }
    return 0;
  };
  CHECK_EQ(code([&] { run_generate(args_for(dir, model, groups)); }), exit_non_finite);
  CHECK_EQ(code([&] { run_score({model, "", groups, dir / "scores.safetensors"}); }), exit_non_finite);
  CHECK(!path_exists(dir / "samples.safetensors") && !path_exists(dir / "scores.safetensors"));
}

TEST("stories260k: the published greedy text") {
  if (!path_exists(stories)) SKIP("needs " + stories);
  TempDir dir;
  const std::string path = stories + "/golden-greedy.json";
  const Json json = parse_json(read_file(path).text(), path);
  const Json::Array& want = json.find("greedy_ids")->array();
  GenerateArgs args = args_for(dir, stories + "/hf", GroupsFile().add({1}).write(dir));
  args.temperature = 0;
  args.max_new_tokens = static_cast<int64_t>(want.size()) - 1;
  const Groups out = samples(args);
  CHECK_EQ(out.tokens.size(), want.size());
  for (size_t i = 0; i < want.size(); i++) CHECK_EQ(int64_t{out.tokens[i]}, std::get<int64_t>(want[i].value));
}
