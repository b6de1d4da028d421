// Whole runs on a GPU beside runs on the CPU from the same bfloat16 weights: losses step by step; resuming; memory as planned.
#include <filesystem>

#include "run/commands.h"
#include "run/memory.h"
#include "tiny_model.h"
#include "twin.h"

using namespace twin;
namespace fs = std::filesystem;

namespace {

struct Runs {
  TempDir dir;
  std::string model, groups;

  Runs() {
    cuda();  // or end as skipped
    Json config = tiny::config();
    config.set("dtype", "bfloat16");
    model = tiny::write_model(dir, config);
    tiny::GroupsFile file;
    for (int64_t g = 0; g < 8; g++)
      file.add(tiny::random_ids(draw(), 3 + g), {tiny::random_ids(draw(), 4 + g % 3), tiny::random_ids(draw(), 5), tiny::random_ids(draw(), 2 + g)});
    file.groups.has_pairs = true;
    for (int64_t g = 0; g < 8; g++) {
      const auto first = static_cast<int32_t>(file.groups.completions_begin(g));
      file.groups.pairs.push_back({first, first + 1});
      file.groups.pairs.push_back({first + 2, first});
    }
    groups = file.write(dir);
  }

  Job job(const std::string& out, const std::string& device, const Json::Object& extra) const {
    Json json = Json::Object{{"model_name_or_path", model}, {"train_file", groups}, {"output_dir", dir / out}, {"objective", "dpo"},
                             {"groups_per_step", 2}, {"learning_rate", 5e-3}, {"r", 4}, {"max_steps", 4}, {"device", device}};
    for (const auto& [key, value] : extra) {
      json.set(key, value);
      if (key == "finetuning_type") std::erase_if(std::get<Json::Object>(json.value), [](const auto& member) { return member.first == "r"; });
    }
    return parse_job(json, "job.json");
  }

  std::vector<double> losses(const std::string& out, const std::string& device, const Json::Object& extra) const {
    const Job j = job(out, device, extra);
    CHECK_EQ(run_train(j, EventSink::file), 0);
    std::vector<double> values;
    const FileBytes file = read_file(dir / out + "/events.jsonl");
    std::string_view lines = file.text();
    while (!lines.empty()) {
      const size_t end = lines.find('\n');
      const Json event = parse_json(lines.substr(0, end), "events");
      lines.remove_prefix(end + 1);
      if (std::get<std::string>(event.find("event")->value) == "step") values.push_back(JsonAt{event.find("loss"), "events", "loss"}.number(-1e9, 1e9));
    }
    return values;
  }

  // Largest difference of a step's loss between the two devices.
  double apart(const std::string& name, const Json::Object& extra) const {
    const std::vector<double> on_cpu = losses(name + "-cpu", "cpu", extra), on_gpu = losses(name + "-gpu", "cuda", extra);
    CHECK_EQ(on_gpu.size(), on_cpu.size());
    double largest = 0;
    for (size_t i = 0; i < on_cpu.size(); i++) largest = std::max(largest, std::abs(on_gpu[i] - on_cpu[i]));
    return largest;
  }
};

std::string bytes(const std::string& path) { return std::string(read_file(path).text()); }

}  // namespace

TEST("fifty steps of DPO have the CPU's losses") {
  const Runs runs;
  CHECK(runs.apart("dpo", {{"max_steps", 50}, {"learning_rate", 1e-3}}) < 0.02);
}

TEST("so have SFT of all weights, a base in NF4, DoRA, dropout and layers that are recomputed") {
  const Runs runs;
  CHECK(runs.apart("full", {{"objective", "sft"}, {"finetuning_type", "full"}, {"learning_rate", 1e-3}}) < 0.03);
  CHECK(runs.apart("nf4", {{"load_in_4bit", true}, {"bnb_4bit_use_double_quant", true}}) < 0.03);
  CHECK(runs.apart("dora", {{"use_dora", true}}) < 0.03);
  CHECK(runs.apart("dropout", {{"objective", "sft"}, {"lora_dropout", 0.2}}) < 0.03);
  CHECK(runs.apart("recompute", {{"gradient_checkpointing", true}}) < 0.03);
}

TEST("a run that goes on at a checkpoint ends with the bytes of one that was not stopped") {
  const Runs runs;
  for (const Json::Object& kind : std::vector<Json::Object>{{{"use_dora", true}}, {{"objective", "sft"}, {"finetuning_type", "full"}}}) {
    const std::string name = kind.front().first;
    Json::Object extra = kind;
    extra.emplace_back("save_steps", 2);
    extra.emplace_back("resume_from_checkpoint", "auto");
    runs.losses(name, "cuda", extra);
    fs::create_directory(runs.dir / name + "-again");
    fs::copy(runs.dir / name + "/checkpoint-2", runs.dir / name + "-again/checkpoint-2", fs::copy_options::recursive);
    runs.losses(name + "-again", "cuda", extra);
    const std::string file = name == "use_dora" ? "/adapter/adapter_model.safetensors" : "/model/model.safetensors";
    CHECK(bytes(runs.dir / name + file) == bytes(runs.dir / name + "-again" + file));
  }
}

TEST("the plan of a GPU's memory holds the base in two bytes a weight") {
  const Runs runs;
  const Job job = runs.job("plan", "cuda", {});
  MemoryNeed need{1'000'000, 10'000, 60, 40, 4, false, 1};
  need.cuda = true;
  const MemoryPlan plan = plan_memory(job, read_checkpoint_config(job.model_name_or_path), need, INT64_MAX);
  const auto weights = std::find_if(plan.parts.begin(), plan.parts.end(), [](const auto& part) { return part.first == "weights"; });
  CHECK_EQ(weights->second, int64_t{2'000'000 + 6 * 10'000});
  CHECK_EQ(plan.micro_batch_tokens, 8192);
}
