// What a GPU's run holds on the host, and whether Llama 3.1 70B fits a card of 48 GiB.
#include "fuzz/memory.h"

#include "run/commands.h"
#include "run/memory.h"
#include "tiny_model.h"
#include "twin.h"

using namespace twin;

namespace {

// Six million weights in many tensors, each far smaller than the model.
struct Setup {
  TempDir dir;
  std::string model, groups;
  int64_t float_bytes = 0;

  Setup() {
    setenv("CONCORD_THREADS", "2", 1);  // each has a piece
    Json config = tiny::config();
    for (const auto& [key, value] : Json::Object{{"hidden_size", 256}, {"intermediate_size", 1024}, {"num_hidden_layers", 6}, {"dtype", "bfloat16"}, {"initializer_range", 0.02}})
      config.set(key, value);
    model = tiny::write_model(dir, config);
    float_bytes = 4 * weight_layout(read_checkpoint_config(model)).elements;
    tiny::GroupsFile file;
    file.add({1, 2}, {{3}, {4}});
    file.groups.has_pairs = true;
    file.groups.pairs.push_back({1, 2});
    groups = file.write(dir);
    score(Quantization::none);  // what the first use of a device takes once
  }

  void score(Quantization how) const {
    ScoreArgs args{model, "", groups, dir / "scores.safetensors"};
    args.quantization = how;
    args.device = parse_device("cuda", "--device");
    CHECK_EQ(run_score(args), 0);
  }

  // The most that the host holds at a time in f, where the model's floats would be 1.
  template <class F>
  double share_of_host(F&& f) const {
    const size_t before = fuzz::allocated.live;
    fuzz::allocated.peak = before;
    f();
    return static_cast<double>(fuzz::allocated.peak - before) / static_cast<double>(float_bytes);
  }
};

}  // namespace

TEST("training an adapter and scoring, the host holds a piece or one layer of the base, never the base") {
  const Setup setup;
  for (const Json::Object& kind : std::vector<Json::Object>{{}, {{"load_in_4bit", true}, {"bnb_4bit_use_double_quant", true}}, {{"load_in_fp8", true}, {"use_dora", true}}}) {
    Json json = Json::Object{{"model_name_or_path", setup.model}, {"train_file", setup.groups}, {"output_dir", setup.dir / "out"}, {"objective", "dpo"},
                             {"r", 1}, {"target_modules", Json::Array{"q_proj"}}, {"max_steps", 1}, {"device", "cuda"}};
    for (const auto& [key, value] : kind) json.set(key, value);
    CHECK(setup.share_of_host([&] { CHECK_EQ(run_train(parse_job(json, "job.json"), EventSink::file), 0); }) < 0.15);
    std::filesystem::remove_all(setup.dir / "out");
  }
  for (const Quantization how : {Quantization::none, Quantization::nf4_double}) CHECK(setup.share_of_host([&] { setup.score(how); }) < 0.15);
}

TEST("a card of 48 GiB has room to train an adapter of Llama 3.1 70B in NF4 with DPO") {
  const char* text = R"({"model_type":"llama","hidden_size":8192,"intermediate_size":28672,"num_hidden_layers":80,"num_attention_heads":64,
    "num_key_value_heads":8,"vocab_size":128256,"max_position_embeddings":131072,"tie_word_embeddings":false})";
  const ModelConfig config = parse_model_config(parse_json(text, "config.json"), "config.json");
  const char* job = R"({"model_name_or_path":"m","train_file":"t","output_dir":"o","objective":"dpo","r":16,"load_in_4bit":true,"bnb_4bit_use_double_quant":true})";
  MemoryNeed need{weight_layout(config, Quantization::nf4_double).elements};
  for (const LinearSpec& linear : model_linears(config)) need.trainable += 16 * (linear.in + linear.out);
  need.quantized_bytes = quantized_base_bytes(config, Quantization::nf4_double);
  need.lora_ranks = 3 * 16;
  need.longest_sequence_tokens = 512 + 512;
  need.largest_group_tokens = 512 + 2 * 512;
  need.all_tokens = 1'000 * need.largest_group_tokens;
  need.cuda = true;
  const MemoryPlan plan = plan_memory(parse_job(parse_json(job, "job.json"), "job.json"), config, need, int64_t{47} << 30);
  CHECK(plan.total_bytes < int64_t{47} << 30);
}
