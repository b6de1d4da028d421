// The golden cases: an independent float64 implementation's numbers, one sequence at a time.
// Tolerances of the trainer's contract: 1e-4 relative on log-probabilities and losses, 1e-3 on gradients.
#include "golden_cases.h"
#include "io/groups.h"
#include "run/commands.h"
#include "pass.h"
#include "run_binary.h"

using namespace concord;

namespace {

using golden::Case;

std::vector<float> scores(const std::string& model, const std::string& adapter, const std::string& groups, const char* tensor) {
  TempDir dir;
  CHECK_EQ(run_score({model, adapter, groups, dir / "scores.safetensors"}), 0);
  return to_f32(*read_safetensors(dir / "scores.safetensors").find(tensor));
}

Json job(const Case& c, const char* objective) {
  return Json::Object{{"model_name_or_path", c.model}, {"train_file", c.groups}, {"objective", objective}, {"adapter_name_or_path", c.adapter}};
}

Json dpo(const Case& c, double beta = 0.1) {
  Json json = job(c, "dpo");
  json.set("beta", beta);
  return json;
}

}  // namespace

TEST("score: log-probabilities of base and adapter") {
  golden::for_each_shared([&](const Case& c) {
    check_close("logps.base", scores(c.model, "", c.groups, "token_logps"), c.tensor("logps.base"), 1e-5);
    check_close("logps.adapter", scores(c.model, c.adapter, c.groups, "token_logps"), c.tensor("logps.adapter"), 1e-5);
  });
}

TEST("score: sums are those of the tokens of each completion") {
  golden::for_each_shared([&](const Case& c) {
    const std::vector<float> tokens = c.tensor("logps.base"), sums = scores(c.model, "", c.groups, "logps");
    const Groups groups = read_groups(c.groups);
    size_t next = 0, completion = 0;
    for (int64_t g = 0; g < groups.n_groups(); g++) {
      for (int64_t s = groups.completions_begin(g); s < groups.completions_end(g); s++) {
        double sum = 0;
        for (int64_t i = 0; i < groups.segment_length(s); i++) sum += tokens[next++];
        CHECK_NEAR(sums[completion], sum, 1e-4 * std::abs(sum));
        completion++;
      }
    }
    CHECK_EQ(completion, sums.size());
  });
}

TEST("DPO: loss, TRL's metrics and every gradient") {
  golden::for_each_shared([&](const Case& c) {
    Pass pass(dpo(c));
    CHECK_NEAR(pass.stats.loss, c.value("dpo.sigmoid.beta0.1.ls0.0.loss"), 1e-4 * pass.stats.loss);
    CHECK_NEAR(pass.grad_norm(), c.value("dpo.sigmoid.beta0.1.ls0.0.grad_norm"), 1e-3 * pass.grad_norm());
    Json::Object fields;
    pass.stats.append_dpo(fields, "");
    for (const auto& [name, value] : fields) {
      if (name.starts_with("rewards/")) CHECK_NEAR(std::get<double>(value.value), c.value("dpo." + name), 1e-4);
    }
    const std::vector<float>& grads = pass.model.lora->grads;
    for (const auto& m : pass.model.lora->modules) {
      const auto part = [&](int64_t offset, int64_t n) { return std::vector<float>(grads.begin() + offset, grads.begin() + offset + n); };
      check_close(m.name + ".lora_A", part(m.a_offset, m.r * m.in), c.tensor("grad.dpo." + m.name + ".lora_A"), 1e-3);
      check_close(m.name + ".lora_B", part(m.b_offset, m.out * m.r), c.tensor("grad.dpo." + m.name + ".lora_B"), 1e-3);
    }
  });
}

TEST("DPO with label smoothing (cDPO), robust, hinge and ipo: loss and gradient norm") {
  struct Loss {
    const char* loss_type;
    double beta, label_smoothing;
    const char* name;
  };
  const Loss losses[] = {{"sigmoid", 0.3, 0.1, "sigmoid.beta0.3.ls0.1"},
                         {"robust", 0.1, 0.2, "robust.beta0.1.ls0.2"},
                         {"hinge", 0.2, 0, "hinge.beta0.2.ls0.0"},
                         {"ipo", 0.1, 0, "ipo.beta0.1.ls0.0"}};
  golden::for_each_shared([&](const Case& c) {
    for (const Loss& loss : losses) {
      Json job = dpo(c, loss.beta);
      job.set("loss_type", loss.loss_type);
      if (loss.label_smoothing > 0) job.set("label_smoothing", loss.label_smoothing);
      Pass pass(job);
      const std::string name = std::string("dpo.") + loss.name;
      CHECK_NEAR(pass.stats.loss, c.value(name + ".loss"), 1e-4 * pass.stats.loss);
      CHECK_NEAR(pass.grad_norm(), c.value(name + ".grad_norm"), 1e-3 * pass.grad_norm());
    }
  });
}

TEST("SFT: loss and gradient norm") {
  golden::for_each_shared([&](const Case& c) {
    Pass pass(job(c, "sft"));
    CHECK_NEAR(pass.stats.loss, c.value("sft.loss"), 1e-4 * pass.stats.loss);
    CHECK_NEAR(pass.grad_norm(), c.value("sft.grad_norm"), 1e-3 * pass.grad_norm());
  });
}

TEST("micro-batches, recomputation and threads change no gradient") {
  golden::for_each_shared([&](const Case& c) {
    Pass whole(dpo(c));
    Json small = dpo(c), recomputed = dpo(c);
    small.set("micro_batch_tokens", 1);
    recomputed.set("gradient_checkpointing", true);
    Pass pieces(small), again(recomputed), one_thread(dpo(c), 1);
    check_close("in pieces", pieces.model.lora->grads, whole.model.lora->grads, 1e-5);
    check_close("recomputed", again.model.lora->grads, whole.model.lora->grads, 1e-6);
    CHECK(one_thread.model.lora->grads == whole.model.lora->grads);
  });
}

TEST("four AdamW steps of DPO and of SFT end at the expected adapter") {
  golden::for_each_shared([&](const Case& c) {
    for (const std::string objective : {"dpo", "sft"}) {
      TempDir dir;
      std::filesystem::copy_file(c.groups, dir / "groups.safetensors");  // the reference is kept beside it
      const Json job = Json::Object{{"model_name_or_path", c.model}, {"train_file", dir / "groups.safetensors"}, {"output_dir", dir / "out"},
                                    {"objective", objective}, {"adapter_name_or_path", c.adapter}, {"max_steps", 4},
                                    {"groups_per_step", 64}, {"learning_rate", 5e-3}, {"lr_scheduler_type", "constant"},
                                    {"weight_decay", 0.01}, {"max_grad_norm", 1.0}, {"shuffle", false}};
      const Ran ran = run_binary({"train", dir.write("job.json", to_text(job))});
      CHECK_EQ(ran.err.substr(0, ran.exit_code == 0 ? 0 : 300), "");
      const SafetensorsFile trained = read_safetensors(dir / "out/adapter/adapter_model.safetensors");
      for (const TensorView& tensor : trained.tensors) {
        std::string name = tensor.name.substr(std::string("base_model.model.").size());
        name = name.substr(0, name.size() - std::string(".weight").size());
        check_close(name, to_f32(tensor), c.tensor("trained." + objective + "." + name), 1e-3);
      }
      const Json values = c.values();
      const Json::Array losses = JsonAt{&values, "", ""}["train." + objective + ".losses"].array();
      size_t step = 0;
      std::istringstream lines(ran.out);
      for (std::string line; std::getline(lines, line);) {
        const Json event = parse_json(line, "stdout");
        if (std::get<std::string>(event.find("event")->value) != "step") continue;
        const double want = std::get<double>(losses[step++].value);
        CHECK_NEAR(std::get<double>(event.find("loss")->value), want, 1e-4 * want + 1e-6);
      }
      CHECK_EQ(step, losses.size());
    }
  });
}

TEST("generate: greedy, alone and as one of several samples") {
  golden::for_each_shared([&](const Case& c) {
    const TensorView* view = c.expected.find("greedy.adapter");
    CHECK(view != nullptr);
    const std::vector<int32_t> want = view->dtype == DType::I32 ? to_i32(*view) : [&] {
      const std::vector<int64_t> wide = to_i64(*view);
      return std::vector<int32_t>(wide.begin(), wide.end());
    }();
    TempDir dir;
    GenerateArgs args;
    args.model = c.model;
    args.adapter = c.adapter;
    args.groups = c.groups;
    args.out = dir / "out.safetensors";
    args.max_new_tokens = static_cast<int64_t>(want.size());
    args.temperature = 0;
    args.stop = std::vector<int64_t>{};
    for (const int64_t samples : {1, 3}) {
      args.num_return_sequences = samples;
      CHECK_EQ(run_generate(args), 0);
      const Groups out = read_groups(args.out);
      for (int64_t s = out.completions_begin(0); s < out.completions_end(0); s++) {
        const auto tokens = out.segment_tokens(s);
        CHECK(std::equal(tokens.begin(), tokens.end(), want.begin(), want.end()));
      }
      CHECK_EQ(out.completions_end(0) - out.completions_begin(0), samples);
    }
  });
}
