// Every model family against transformers and PEFT in float64 (tests/golden/make.py): log-probabilities, an adapter's
// gradients, greedy ids; and merge, init and inspect of the same checkpoints.
#include <algorithm>

#include "golden_cases.h"
#include "pass.h"
#include "run_binary.h"
#include "tiny_model.h"

using namespace concord;

namespace {

using golden::Case;

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += std::abs(static_cast<double>(a[i]) - b[i]);
  return sum;
}

}  // namespace

TEST("score: log-probabilities of base and adapter, prompts shared") {
  golden::for_each_family([](const Case& c) {
    TempDir dir;
    check_close("logps.base", tiny::score(dir, c.model, c.groups).token_logps, c.tensor("logps.base"), 2e-5);
    check_close("logps.adapter", tiny::score(dir, c.model, c.groups, c.adapter).token_logps, c.tensor("logps.adapter"), 2e-5);
  });
}

TEST("SFT: the gradient of every A and B") {
  golden::for_each_family([](const Case& c) {
    for (const bool recompute : {false, true}) {
      Pass pass(Json::Object{{"model_name_or_path", c.model}, {"train_file", c.groups}, {"objective", "sft"}, {"adapter_name_or_path", c.adapter},
                             {"gradient_checkpointing", recompute}});
      const std::vector<float>& grads = pass.model.lora->grads;
      CHECK_EQ(pass.model.lora->modules.size(), model_linears(pass.model.config).size());
      for (const auto& m : pass.model.lora->modules) {
        const auto part = [&](int64_t offset, int64_t n) { return std::vector<float>(grads.begin() + offset, grads.begin() + offset + n); };
        check_close(m.name + ".lora_A", part(m.a_offset, m.r * m.in), c.tensor("grad.sft." + m.name + ".lora_A"), 1e-4);
        check_close(m.name + ".lora_B", part(m.b_offset, m.out * m.r), c.tensor("grad.sft." + m.name + ".lora_B"), 1e-4);
      }
    }
  });
}

TEST("generate: greedy with a cache gives what no cache gives, alone and as one of several samples") {
  golden::for_each_family([](const Case& c) {
    const std::vector<int32_t> want = to_i32(*c.expected.find("greedy.adapter"));
    TempDir dir;
    GenerateArgs args;
    args.model = c.model;
    args.adapter = c.adapter;
    args.groups = c.groups;
    args.out = dir / "out.safetensors";
    args.max_new_tokens = static_cast<int64_t>(want.size());
    args.temperature = 0;
    args.stop = std::vector<int64_t>{};
    // Generation needs a prompt: the text without one is left out.
    const Groups all = read_groups(c.groups);
    tiny::GroupsFile prompts;
    for (int64_t g = 0; g < all.n_groups(); g++) {
      const auto prompt = all.segment_tokens(all.prompt_of(g));
      if (!prompt.empty()) prompts.add({prompt.begin(), prompt.end()});
    }
    args.groups = prompts.write(dir);
    for (const int64_t samples : {1, 3}) {
      args.num_return_sequences = samples;
      CHECK_EQ(run_generate(args), 0);
      const Groups out = read_groups(args.out);
      for (int64_t s = out.completions_begin(0); s < out.completions_end(0); s++) {
        const auto tokens = out.segment_tokens(s);
        CHECK(std::equal(tokens.begin(), tokens.end(), want.begin(), want.end()));
      }
      const ModelConfig config = read_checkpoint_config(c.model);
      for (int64_t g = 0; g < out.n_groups(); g++) {
        const int64_t prompt = out.segment_length(out.prompt_of(g)), room = config.growth_limit(prompt) - prompt;
        CHECK_EQ(out.segment_length(out.completions_begin(g)), std::min(args.max_new_tokens, room));
      }
    }
  });
}

TEST("merge: the adapter's log-probabilities, to the rounding of the base's dtype") {
  golden::for_each_family([](const Case& c) {
    TempDir dir;
    tiny::silently([&] { CHECK_EQ(run_merge(c.model, c.adapter, dir / "merged"), 0); });
    const std::vector<float> got = tiny::score(dir, dir / "merged", c.groups).token_logps, want = c.tensor("logps.adapter");
    const CheckpointDir base = open_checkpoint(c.model);
    if (base.tensor("model.norm.weight").dtype == DType::F32) check_close("merged", got, want, 2e-5);
    CHECK(distance(got, want) < 0.05 * distance(c.tensor("logps.base"), want));
    CHECK(base.tensor("model.norm.weight").dtype == open_checkpoint(dir / "merged").tensor("model.norm.weight").dtype);
  });
}

TEST("init and inspect: a checkpoint of the same weights, which scores, and a job's memory") {
  golden::for_each_family([](const Case& c) {
    TempDir dir;
    tiny::silently([&] { run_init(c.model + "/config.json", 3, dir / "fresh"); });
    const CheckpointDir fresh = open_checkpoint(dir / "fresh"), base = open_checkpoint(c.model);
    CHECK_EQ(fresh.tensors.size(), base.tensors.size());
    for (const auto& [name, tensor] : fresh.tensors) CHECK(tensor.info->shape == base.tensor(name).shape);
    for (const float logp : tiny::score(dir, dir / "fresh", c.groups).logps) CHECK(std::isfinite(logp));
    const Json job = Json::Object{{"model_name_or_path", c.model}, {"train_file", c.groups}, {"output_dir", dir / "out"}, {"objective", "sft"}};
    const Ran ran = run_binary({"inspect", "--model", c.model, "--job", dir.write("job.json", to_text(job))});
    CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
    const Json facts = parse_json(ran.out, "stdout");
    CHECK_EQ(std::get<int64_t>(facts.find("parameters")->value), weight_layout(base.config).elements);
    CHECK(std::get<int64_t>(facts.find("memory")->find("total_bytes")->value) > 0);
  });
}
