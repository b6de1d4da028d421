// Whole runs on a GPU beside runs on the CPU from the same bfloat16 weights: losses step by step; resuming; two ranks; memory as planned.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "ops/cuda/nccl.h"
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

  Json job_text(const std::string& out, const std::string& device, const Json::Object& extra) const {
    Json json = Json::Object{{"model_name_or_path", model}, {"train_file", groups}, {"output_dir", dir / out}, {"objective", "dpo"},
                             {"groups_per_step", 2}, {"learning_rate", 5e-3}, {"r", 4}, {"max_steps", 4}, {"device", device}};
    for (const auto& [key, value] : extra) {
      json.set(key, value);
      if (key == "finetuning_type") std::erase_if(std::get<Json::Object>(json.value), [](const auto& member) { return member.first == "r"; });
    }
    return json;
  }
  Job job(const std::string& out, const std::string& device, const Json::Object& extra) const {
    return parse_job(job_text(out, device, extra), "job.json");
  }

  std::vector<double> losses(const std::string& out, const std::string& device, const Json::Object& extra) const {
    CHECK_EQ(run_train(job(out, device, extra), EventSink::file), 0);
    return losses_of(out);
  }

  std::vector<Json> events(const std::string& out) const {
    std::vector<Json> all;
    const FileBytes file = read_file(dir / out + "/events.jsonl");
    std::string_view lines = file.text();
    while (!lines.empty()) {
      const size_t end = lines.find('\n');
      all.push_back(parse_json(lines.substr(0, end), "events"));
      lines.remove_prefix(end + 1);
    }
    return all;
  }

  std::vector<double> losses_of(const std::string& out) const {
    std::vector<double> values;
    for (const Json& event : events(out))
      if (std::get<std::string>(event.find("event")->value) == "step") values.push_back(JsonAt{event.find("loss"), "events", "loss"}.number(-1e9, 1e9));
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

TEST("so have SFT of all weights, a base in NF4, DoRA, dropout, and layers that are recomputed, in FP8") {
  const Runs runs;
  CHECK(runs.apart("full", {{"objective", "sft"}, {"finetuning_type", "full"}, {"learning_rate", 1e-3}}) < 0.03);
  CHECK(runs.apart("nf4", {{"load_in_4bit", true}, {"bnb_4bit_use_double_quant", true}}) < 0.03);
  CHECK(runs.apart("dora", {{"use_dora", true}}) < 0.03);
  CHECK(runs.apart("dropout", {{"objective", "sft"}, {"lora_dropout", 0.2}}) < 0.03);
  CHECK(runs.apart("recompute", {{"gradient_checkpointing", true}, {"load_in_fp8", true}}) < 0.03);
}

TEST("a new DoRA adapter is its base to the bit, in few bits too") {
  const Runs runs;
  for (const Json::Object& base : std::vector<Json::Object>{{}, {{"load_in_4bit", true}}}) {
    Json::Object job = {{"objective", "sft"}, {"max_steps", 1}};
    job.insert(job.end(), base.begin(), base.end());
    const std::string name = base.empty() ? "bf16" : "nf4";
    const double plain = runs.losses(name + "-lora", "cuda", job).front();
    job.emplace_back("use_dora", true);
    CHECK_EQ(runs.losses(name + "-dora", "cuda", job).front(), plain);
  }
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

TEST("a job that names no device takes the GPU, and says so first") {
  const Runs runs;
  CHECK_EQ(runs.losses("auto", "auto", {}).size(), size_t{4});
  const Json start = runs.events("auto").front();
  CHECK_EQ(std::get<std::string>(start.find("device")->find("type")->value), "cuda");
  CHECK(std::get<std::string>(start.find("job")->find("device")->value).starts_with("cuda:"));
}

// The test after this one starts it, in a process of its own.
TEST("one of two ranks") {
  const char* job = std::getenv("CONCORD_TEST_JOB");
  if (job) CHECK_EQ(run_train(read_job(job), EventSink::file), 0);
}

TEST("two ranks, on one GPU or one each, train what one does, and both times the same bytes") {
  const Runs runs;
  const Json::Object extra = {{"save_steps", 2}};
  const std::vector<double> alone = runs.losses("one", "cuda", extra);
  std::vector<std::pair<std::string, const char*>> ways = {{"two", "none"}, {"again", "none"}};  // and the library that adds up
#ifdef CONCORD_EMULATED_NCCL
  ways.emplace_back("by-nccl", CONCORD_EMULATED_NCCL);
#else
  if (Cuda::count() > 1 && Nccl::available()) ways.emplace_back("by-nccl", "");
#endif
  for (const auto& [out, nccl] : ways) {
    const std::string job = runs.dir.write(out + ".json", to_text(runs.job_text(out, "cuda", extra)));
    std::vector<pid_t> pids;
    for (const char* rank : {"0", "1"}) {
      pids.push_back(fork());
      if (pids.back() != 0) continue;
      setenv("RANK", rank, 1);
      setenv("WORLD_SIZE", "2", 1);
      if (*nccl != '\0') setenv("CUDA_VISIBLE_DEVICES", "0", 1);  // one for both
      setenv("CONCORD_NCCL_LIBRARY", nccl, 1);
      setenv("CONCORD_TEST_JOB", job.c_str(), 1);
      if (!freopen("/dev/null", "w", stdout)) _exit(99);
      execl("/proc/self/exe", "test", "one of two ranks", nullptr);
      _exit(98);
    }
    for (const pid_t pid : pids) {
      int status = 0;
      waitpid(pid, &status, 0);
      CHECK_EQ(status, 0);
    }
    const std::vector<double> together = runs.losses_of(out);
    CHECK_EQ(together.size(), alone.size());
    CHECK_EQ(std::get<std::string>(runs.events(out).front().find("device")->find("gradients_by")->value), out == "by-nccl" ? "nccl" : "tcp");
    for (size_t i = 0; i < alone.size(); i++) CHECK_NEAR(together[i], alone[i], 0.01);
  }
  for (const auto& [out, nccl] : ways)
    CHECK(bytes(runs.dir / "two/adapter/adapter_model.safetensors") == bytes(runs.dir / out + "/adapter/adapter_model.safetensors"));
}

TEST("a run takes the memory that it planned, all of it before the second step") {
  const Runs runs;
  for (const bool recompute : {false, true}) {
    const std::string out = recompute ? "recomputed" : "kept";
    const int64_t before = Cuda::describe(0).memory_bytes - Cuda::describe(0).free_bytes;
    runs.losses(out, "cuda", {{"max_steps", 8}, {"gradient_checkpointing", recompute}, {"eval_file", runs.groups}, {"eval_steps", 3}, {"shuffle", true}});
    int64_t planned = 0;
    std::vector<int64_t> taken;
    for (const Json& event : runs.events(out)) {
      if (std::get<std::string>(event.find("event")->value) == "start") planned = std::get<int64_t>(event.find("memory")->find("total_bytes")->value);
      if (std::get<std::string>(event.find("event")->value) == "step") taken.push_back(std::get<int64_t>(event.find("memory_bytes")->value) - before);
    }
    CHECK_EQ(taken.size(), size_t{8});
    for (const int64_t bytes : taken) CHECK_EQ(bytes, taken.front());
    // Beyond the plan: scratch of a handle, rounding of each buffer, and on a real GPU what its driver loads with the first kernels.
    const int64_t beyond = Cuda::describe(0).name == "emulated" ? 1 << 20 : 512 << 20;
    CHECK(taken.front() >= planned && taken.front() < planned + beyond);
    CHECK(Cuda::describe(0).memory_bytes - Cuda::describe(0).free_bytes < before + beyond);
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
  const MemoryPlan scarce = plan_memory(job, read_checkpoint_config(job.model_name_or_path), need, plan.total_bytes / 2);
  CHECK(scarce.total_bytes <= plan.total_bytes / 2);
  CHECK(scarce.cost >= plan.cost);
}
