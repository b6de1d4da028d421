// A run that is killed, or told to stop, and goes on ends with the bytes of one that was not.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "check.h"
#include "io/groups.h"
#include "io/json.h"
#include "run_binary.h"

using namespace concord;
namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = R"({"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":32,"intermediate_size":48,
  "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":64,"max_position_embeddings":64,
  "rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true,"eos_token_id":1})";

// 24 groups of a prompt and two completions, one preferred.
Groups some_groups() {
  Groups groups;
  groups.segments = {0};
  groups.group_segments = {0};
  groups.has_pairs = true;
  for (int g = 0; g < 24; g++) {
    for (int part = 0; part < 3; part++) {
      for (int i = 0; i < 4 + (g + part) % 5; i++) groups.tokens.push_back(2 + (7 * g + 11 * part + 3 * i) % 62);
      groups.segments.push_back(static_cast<int64_t>(groups.tokens.size()));
    }
    groups.group_segments.push_back(groups.n_segments());
    groups.pairs.push_back({3 * g + 1, 3 * g + 2});
  }
  return groups;
}

struct Setup {
  TempDir dir;
  std::string model, groups;

  Setup() : model(dir / "model"), groups(dir / "groups.safetensors") {
    CHECK_EQ(run_binary({"init", "--config", dir.write("config.json", kConfig), "--seed", "5", "--out", model}).exit_code, 0);
    write_groups(groups, some_groups());
  }

  std::string job(const std::string& out, const Json::Object& extra) const {
    Json json = Json::Object{{"model_name_or_path", model}, {"train_file", groups}, {"output_dir", dir / out}, {"groups_per_step", 2},
                             {"max_steps", 240}, {"save_steps", 8}, {"learning_rate", 1e-3}, {"warmup_steps", 10},
                             {"resume_from_checkpoint", "auto"}};
    for (const auto& [key, value] : extra) json.set(key, value);
    return dir.write(out + ".json", to_text(json));
  }
};

const Json::Object kFull = {{"objective", "sft"}, {"finetuning_type", "full"}};
const Json::Object kLora = {{"objective", "dpo"}, {"r", 4}};

// Starts the trainer, waits until it has saved `step`, sends the signal; the exit status as waitpid gives it.
int interrupt(const std::string& job, const std::string& output_dir, int step, int signal) {
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("CONCORD_THREADS", "1", 1);
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
    execl(CONCORD_BINARY, CONCORD_BINARY, "train", job.c_str(), nullptr);
    _exit(98);
  }
  const auto saved = [&] {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(output_dir, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("checkpoint-") && std::atoi(name.c_str() + 11) >= step) return true;
    }
    return false;
  };
  int status = 0;
  while (!saved()) {
    if (waitpid(pid, &status, WNOHANG) == pid) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(pid, signal);
  waitpid(pid, &status, 0);
  return status;
}

std::string bytes(const std::string& path) { return std::string(read_file(path).text()); }

void finish(const std::string& job) {
  const Ran ran = run_binary({"train", job}, "CONCORD_THREADS=1");
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
}

// The loss of each step, in the order of the file; a step done again must have the same.
std::map<int64_t, double> losses(const std::string& output_dir) {
  std::map<int64_t, double> by_step;
  std::istringstream lines(bytes(output_dir + "/events.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json event = parse_json(line, "events.jsonl");
    const JsonAt at{&event, "events.jsonl", ""};
    if (at["event"].string() != "step") continue;
    const int64_t step = at["step"].integer(1, 1000);
    const double loss = at["loss"].number(-1e9, 1e9);
    if (by_step.contains(step)) CHECK_EQ(by_step[step], loss);
    by_step[step] = loss;
  }
  return by_step;
}

}  // namespace

TEST("killed three times, LoRA and full: the same bytes and the same losses") {
  Setup setup;
  for (const bool full : {false, true}) {
    const Json::Object& extra = full ? kFull : kLora;
    const std::string result = full ? "model/model.safetensors" : "adapter/adapter_model.safetensors";
    const std::string straight = full ? "full-a" : "lora-a", broken = full ? "full-b" : "lora-b";
    finish(setup.job(straight, extra));
    const std::string job = setup.job(broken, extra), out = setup.dir / broken;
    for (const int step : {40, 90, 170}) CHECK(WIFSIGNALED(interrupt(job, out, step, SIGKILL)));
    finish(job);
    CHECK(bytes(setup.dir / (straight + "/" + result)) == bytes(setup.dir / (broken + "/" + result)));
    CHECK(losses(setup.dir / straight) == losses(out));
    CHECK_EQ(losses(out).size(), size_t{240});
  }
}

TEST("told to stop, a run saves, says that it can be resumed, and exits as signals do") {
  Setup setup;
  for (const auto& [signal, code] : std::vector<std::pair<int, int>>{{SIGTERM, 143}, {SIGINT, 130}}) {
    const std::string out = "stopped-" + std::to_string(code), job = setup.job(out, kLora);
    const int status = interrupt(job, setup.dir / out, 40, signal);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), code);
    const std::string events = bytes(setup.dir / (out + "/events.jsonl"));
    CHECK(events.find(R"("event":"end")") != std::string::npos);
    CHECK(events.find(R"("resumable":true)") != std::string::npos);
    finish(job);
    CHECK(path_exists(setup.dir / (out + "/adapter/adapter_config.json")));
  }
}

TEST("save_total_limit keeps the newest; a damaged checkpoint is passed over") {
  Setup setup;
  const std::string job = setup.job("kept", kLora), out = setup.dir / "kept";
  CHECK(WIFSIGNALED(interrupt(job, out, 100, SIGKILL)));
  std::set<int> steps;
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-")) steps.insert(std::atoi(name.c_str() + 11));
  }
  CHECK(!steps.empty() && steps.size() <= 3);  // two, and a third where the kill fell between writing and removing
  const int newest = *steps.rbegin();
  fs::resize_file(out + "/checkpoint-" + std::to_string(newest) + "/optimizer.safetensors", 100);
  const Ran ran = run_binary({"train", job}, "CONCORD_THREADS=1");
  CHECK_EQ(ran.exit_code, 0);
  CHECK(ran.err.find("passing over") != std::string::npos);
  finish(setup.job("straight", kLora));
  CHECK(bytes(out + "/adapter/adapter_model.safetensors") == bytes(setup.dir / "straight/adapter/adapter_model.safetensors"));
}

TEST("another job's checkpoint is refused, and so is starting over one without saying so") {
  Setup setup;
  const std::string job = setup.job("mine", kLora), out = setup.dir / "mine";
  CHECK(WIFSIGNALED(interrupt(job, out, 40, SIGKILL)));
  Json::Object other = kLora;
  other.emplace_back("seed", 43);
  const Ran differs = run_binary({"train", setup.job("mine", other)});
  CHECK_EQ(differs.exit_code, 2);
  CHECK(differs.err.find("seed differs from this job's") != std::string::npos);
  Json::Object anew = kLora;
  anew.emplace_back("resume_from_checkpoint", Json());
  const Ran over = run_binary({"train", setup.job("mine", anew)});
  CHECK_EQ(over.exit_code, 2);
  CHECK(over.err.find("holds checkpoints of an earlier run") != std::string::npos);
}

TEST("two trainers never work in one folder") {
  Setup setup;
  const std::string job = setup.job("one", kLora);
  const pid_t pid = fork();
  if (pid == 0) {
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
    execl(CONCORD_BINARY, CONCORD_BINARY, "train", job.c_str(), nullptr);
    _exit(98);
  }
  while (!path_exists(setup.dir / "one/events.jsonl")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGSTOP);
  const Ran second = run_binary({"train", job});
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  CHECK_EQ(second.exit_code, 2);
  CHECK(second.err.find("another trainer is running in this output_dir") != std::string::npos);
}
