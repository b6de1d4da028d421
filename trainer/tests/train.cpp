// A whole run as the studio starts it: its events, its ends, and what it leaves.
#include <sys/wait.h>

#include <filesystem>

#include "io/adapter.h"
#include "io/checkpoint_dir.h"
#include "loss/loss_type.h"
#include "tiny_run.h"

using namespace concord;

namespace {

const Json::Object kDpo = {{"objective", "dpo"}, {"r", 4}, {"learning_rate", 5e-3}, {"num_train_epochs", 3}};

Json::Object with(Json::Object members, Json::Object more) {
  members.insert(members.end(), more.begin(), more.end());
  return members;
}

}  // namespace

TEST("a DPO run: start, steps under TRL's names, end; stdout and events.jsonl are the same lines") {
  TinyRun tiny;
  const Ran ran = run_binary({"train", tiny.job("out", kDpo)});
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
  CHECK_EQ(ran.out, std::string(read_file(tiny.dir / "out/events.jsonl").text()));
  const std::vector<Json> events = events_in(ran.out);
  CHECK_EQ(event_name(events.front()), "start");
  CHECK_EQ(event_number(events.front(), "total_steps"), 36);
  CHECK(events.front().find("memory") != nullptr && events.front().find("job") != nullptr);
  CHECK_EQ(event_name(events.back()), "end");
  CHECK_EQ(events.size(), size_t{38});
  for (size_t i = 1; i + 1 < events.size(); i++) {
    CHECK_EQ(event_name(events[i]), "step");
    for (const char* key : {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second", "memory_bytes",
                            "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected"})
      (void)event_number(events[i], key);
  }
  CHECK_NEAR(event_number(events[1], "loss"), 0.693147, 1e-5);
  CHECK(event_number(events[36], "loss") < 0.69);
  CHECK(event_number(events[36], "rewards/margins") > 0);
  const Adapter adapter = read_adapter(tiny.dir / "out/adapter", read_checkpoint_config(tiny.model));
  CHECK_EQ(adapter.modules.size(), size_t{14});
}

TEST("every loss runs, falls from where it began, and reports under TRL's names") {
  TinyRun tiny;
  Groups groups = tiny_groups();
  for (int64_t s = 0; s < groups.n_segments(); s++) {
    groups.segment_tiers.push_back(static_cast<int32_t>(s % 3) - 1);
    groups.segment_labels.push_back(s % 3 == 0 ? -1 : s % 3 == 1);
  }
  write_groups(tiny.groups, groups);
  for (const LossSpec& spec : loss_specs()) {
    Json::Object job = with(kDpo, {{"loss_type", spec.name}, {"groups_per_step", 24}, {"num_train_epochs", 8}});
    if (spec.type == LossType::exo_pair) job.emplace_back("label_smoothing", 0.01);
    const Ran ran = run_binary({"train", tiny.job(spec.name, job)});
    CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
    const std::vector<Json> events = events_in(ran.out);
    CHECK_EQ(events.size(), size_t{10});
    CHECK(event_number(events[8], "loss") < event_number(events[1], "loss"));
    for (const char* key : {"rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected"}) (void)event_number(events[1], key);
    if (spec.type == LossType::kto) (void)event_number(events[1], "kl");
    else (void)event_number(events[1], "rewards/accuracies");
    if (spec.type == LossType::orpo)
      for (const char* key : {"nll_loss", "log_odds_ratio", "log_odds_chosen"}) (void)event_number(events[1], key);
  }
}

TEST("DPO from an adapter, with that adapter as reference, starts at log 2 and keeps its shape") {
  TinyRun tiny;
  CHECK_EQ(run_binary({"train", tiny.job("parent", kDpo)}).exit_code, 0);
  const std::string parent = tiny.dir / "parent/adapter";
  const Json::Object child = {{"objective", "dpo"}, {"adapter_name_or_path", parent}, {"reference_adapter", parent}, {"max_steps", 2}};
  const Ran ran = run_binary({"train", tiny.job("child", child)});
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
  CHECK_NEAR(event_number(events_in(ran.out)[1], "loss"), 0.693147, 1e-5);
  CHECK_EQ(read_adapter(tiny.dir / "child/adapter", read_checkpoint_config(tiny.model)).config.r, 4);
}

TEST("an adapter that was trained with dropout goes on without, as the job says") {
  TinyRun tiny;
  CHECK_EQ(run_binary({"train", tiny.job("parent", kDpo)}).exit_code, 0);
  const std::string config = tiny.dir / "parent/adapter/adapter_config.json";
  Json json = parse_json(read_file(config).text(), config);
  json.set("lora_dropout", 0.05);
  write_file(config, to_text(json));
  const Json::Object child = {{"objective", "dpo"}, {"adapter_name_or_path", tiny.dir / "parent/adapter"}, {"max_steps", 1}};
  CHECK_EQ(run_binary({"train", tiny.job("child", child)}).exit_code, 0);
  CHECK_EQ(read_adapter(tiny.dir / "child/adapter", read_checkpoint_config(tiny.model)).config.lora_dropout, 0.0);
}

TEST("LoRA+ moves B by its own rate: after one step of AdamW, every entry by rate times ratio") {
  TinyRun tiny;
  const Json::Object job = {{"objective", "sft"}, {"r", 4}, {"max_steps", 1}, {"learning_rate", 1e-3}, {"loraplus_lr_ratio", 8},
                            {"lr_scheduler_type", "constant"}};
  CHECK_EQ(run_binary({"train", tiny.job("plus", job)}).exit_code, 0);
  float largest = 0;
  for (const LoraModule& m : read_adapter(tiny.dir / "plus/adapter", read_checkpoint_config(tiny.model)).modules)
    for (const float b : m.b) largest = std::max(largest, std::abs(b));
  CHECK_NEAR(largest, 8e-3, 1e-5);
}

TEST("held-out evaluation: before the end, the best kept, early stopping") {
  TinyRun tiny;
  Json::Object job = with(kDpo, {{"eval_file", tiny.groups}, {"eval_steps", 6}});
  const Ran ran = run_binary({"train", tiny.job("eval", job)});
  size_t evals = 0;
  for (const Json& event : events_in(ran.out)) {
    if (event_name(event) != "eval") continue;
    evals++;
    for (const char* key : {"eval_loss", "eval_rewards/margins", "eval_rewards/accuracies"}) (void)event_number(event, key);
  }
  CHECK_EQ(evals, size_t{6});

  // What is learned makes other ids less likely, so the first evaluation is the best and the third ends the run.
  Groups others = tiny_groups();
  for (int32_t& id : others.tokens) id = 2 + id * (id + 5) % 62;
  write_groups(tiny.dir / "others.safetensors", others);
  job = with(job, {{"learning_rate", 0.03}, {"objective", "sft"}, {"eval_file", tiny.dir / "others.safetensors"},
                   {"early_stopping_patience", 2}, {"load_best_model_at_end", true}});
  const Ran stopped = run_binary({"train", tiny.job("early", job)});
  CHECK_EQ(stopped.exit_code == 0 ? "" : stopped.err, "");
  const Json end = events_in(stopped.out).back();
  CHECK_EQ(std::get<std::string>(end.find("status")->value), "stopped_early");
  const auto best = static_cast<int64_t>(event_number(end, "best_step"));
  CHECK(best < static_cast<int64_t>(event_number(end, "step")));
  const std::string kept = tiny.dir / ("early/checkpoint-" + std::to_string(best) + "/adapter_model.safetensors");
  CHECK(std::string(read_file(kept).text()) == std::string(read_file(tiny.dir / "early/adapter/adapter_model.safetensors").text()));
}

TEST("full finetuning writes a checkpoint in the base's layout and dtype") {
  TinyRun tiny;
  const std::string config = std::string(kTinyConfig).insert(1, R"("torch_dtype":"bfloat16",)");
  const std::string model = tiny.dir / "half";
  CHECK_EQ(run_binary({"init", "--config", tiny.dir.write("half.json", config), "--seed", "1", "--out", model}).exit_code, 0);
  const Json::Object job = {{"model_name_or_path", model}, {"objective", "sft"}, {"finetuning_type", "full"}, {"learning_rate", 1e-2}};
  const Ran ran = run_binary({"train", tiny.job("out", job)});
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
  const CheckpointDir written = open_checkpoint(tiny.dir / "out/model");
  for (const auto& [name, tensor] : written.tensors) CHECK(tensor.info->dtype == DType::BF16);
  const std::vector<Json> events = events_in(ran.out);
  CHECK(event_number(events[events.size() - 2], "loss") < event_number(events[1], "loss"));
}

TEST("a loss that is no number ends the run with exit 4, and nothing is left that looks like a result") {
  TinyRun tiny;
  const CheckpointDir sound = open_checkpoint(tiny.model);
  std::vector<std::vector<float>> values;
  std::vector<TensorOut> tensors;
  for (const auto& [name, tensor] : sound.tensors) {
    values.push_back(sound.read_weight(name));
    for (float& v : values.back()) v *= 1e30f;
    tensors.push_back({name, DType::F32, tensor.info->shape, values.back().data()});
  }
  write_checkpoint(tiny.dir / "huge", sound.config_json, tensors);
  const Ran ran = run_binary({"train", tiny.job("out", with(kDpo, {{"model_name_or_path", tiny.dir / "huge"}}))});
  CHECK_EQ(ran.exit_code, 4);
  CHECK(ran.err.find("became non-finite at step 1") != std::string::npos);
  CHECK_EQ(event_name(events_in(ran.out).back()), "error");
  CHECK(!path_exists(tiny.dir / "out/adapter"));
}

TEST("a full disk ends the run with exit 5; the last checkpoint is whole") {
  TinyRun tiny;
  const std::string job = tiny.job("out", with(kDpo, {{"save_steps", 20}, {"num_train_epochs", 30}, {"resume_from_checkpoint", "auto"}}));
  int status = 0;
  waitpid(start_trainer(job, 100'000), &status, 0);  // events.jsonl reaches it first
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 5);
  const Ran resumed = run_binary({"train", job});
  CHECK_EQ(resumed.exit_code == 0 ? "" : resumed.err.substr(0, 300), "");
  CHECK(resumed.err.find("resumed from") != std::string::npos);
}
