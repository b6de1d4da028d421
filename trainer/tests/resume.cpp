// A run that is killed, or told to stop, and goes on ends with the bytes of one that was not.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "model/random.h"
#include "tiny_run.h"

using namespace concord;
namespace fs = std::filesystem;

namespace {

const Json::Object kLong = {{"max_steps", 240}, {"save_steps", 8}, {"learning_rate", 1e-3}, {"warmup_steps", 10}, {"resume_from_checkpoint", "auto"}};

Json::Object with(Json::Object members) {
  members.insert(members.begin(), kLong.begin(), kLong.end());
  return members;
}

const Json::Object kFull = with({{"objective", "sft"}, {"finetuning_type", "full"}});
const Json::Object kLora = with({{"objective", "dpo"}, {"r", 4}});

// Starts the trainer, waits until it has saved `step`, sends the signal; the exit status as waitpid gives it.
int interrupt(const std::string& job, const std::string& output_dir, int step, int signal) {
  const pid_t pid = start_trainer(job);
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
  for (const Json& event : events_in(bytes(output_dir + "/events.jsonl"))) {
    if (event_name(event) != "step") continue;
    const auto step = static_cast<int64_t>(event_number(event, "step"));
    const double loss = event_number(event, "loss");
    if (by_step.contains(step)) CHECK_EQ(by_step[step], loss);
    by_step[step] = loss;
  }
  return by_step;
}

}  // namespace

TEST("killed three times, LoRA and full: the same bytes and the same losses") {
  TinyRun setup;
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
  TinyRun setup;
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

TEST("told to stop at any moment, evaluating or not, it goes on to the same bytes") {
  TinyRun setup;
  const Json::Object job = {{"objective", "dpo"}, {"r", 4}, {"max_steps", 120}, {"learning_rate", 1e-2}, {"eval_file", setup.groups},
                            {"eval_steps", 3}, {"load_best_model_at_end", true}, {"resume_from_checkpoint", "auto"}};
  finish(setup.job("straight", job));
  const std::string stopped = setup.job("stopped", job), out = setup.dir / "stopped";
  for (int attempt = 1; attempt <= 12; attempt++) {
    const pid_t pid = start_trainer(stopped);
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * attempt));
    kill(pid, SIGTERM);
    int status = 0;
    waitpid(pid, &status, 0);
    // Before it has set its handlers, the signal itself ends it.
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 143 || WEXITSTATUS(status) == 0);
  }
  finish(stopped);
  CHECK(bytes(setup.dir / "straight/adapter/adapter_model.safetensors") == bytes(out + "/adapter/adapter_model.safetensors"));
  CHECK(losses(setup.dir / "straight") == losses(out));
}

TEST("killed at twenty moments, in the middle of anything, it goes on to the same bytes") {
  TinyRun setup;
  const Json::Object job = {{"objective", "dpo"}, {"r", 4}, {"max_steps", 400}, {"learning_rate", 1e-2}, {"eval_file", setup.groups},
                            {"eval_steps", 25}, {"save_steps", 2}, {"resume_from_checkpoint", "auto"}};
  finish(setup.job("straight", job));
  const std::string job_again = setup.job("killed", job), out = setup.dir / "killed";
  Random random(20, 0);
  int killed = 0;
  for (int attempt = 0; attempt < 20; attempt++) {
    const pid_t pid = start_trainer(job_again);
    std::this_thread::sleep_for(std::chrono::microseconds(5'000 + random.below(45'000)));
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    killed += WIFSIGNALED(status);
  }
  CHECK(killed > 0);
  finish(job_again);
  CHECK(bytes(setup.dir / "straight/adapter/adapter_model.safetensors") == bytes(out + "/adapter/adapter_model.safetensors"));
  CHECK(losses(setup.dir / "straight") == losses(out));
}

TEST("killed after its last evaluation, a run that stops early trains no further step") {
  TinyRun setup;
  const std::string job = setup.job("early", {{"objective", "sft"}, {"learning_rate", 5.0}, {"num_train_epochs", 9}, {"save_steps", 1},
                                              {"eval_file", setup.groups}, {"eval_steps", 2}, {"early_stopping_patience", 2},
                                              {"resume_from_checkpoint", "auto"}});
  finish(job);
  const std::string adapter = setup.dir / "early/adapter", before = bytes(adapter + "/adapter_model.safetensors");
  fs::remove_all(adapter);
  const Ran again = run_binary({"train", job}, "CONCORD_THREADS=1");
  CHECK_EQ(again.exit_code, 0);
  CHECK_EQ(events_in(again.out).size(), size_t{2});
  CHECK_EQ(std::get<std::string>(events_in(again.out).back().find("status")->value), "stopped_early");
  CHECK(bytes(adapter + "/adapter_model.safetensors") == before);
}

TEST("save_total_limit keeps the newest; a damaged checkpoint is passed over") {
  TinyRun setup;
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
  TinyRun setup;
  const std::string job = setup.job("mine", kLora), out = setup.dir / "mine";
  CHECK(WIFSIGNALED(interrupt(job, out, 40, SIGKILL)));
  Json::Object other = kLora;
  other.emplace_back("seed", 43);
  const Ran differs = run_binary({"train", setup.job("mine", other)});
  CHECK_EQ(differs.exit_code, 2);
  CHECK(differs.err.find("seed differs from this job's") != std::string::npos);
  for (const auto& [key, value] : Json::Object{{"learning_rate", 2e-3}, {"beta", 0.2}, {"max_steps", 250}, {"weight_decay", 0.1}}) {
    const Ran changed = run_binary({"train", setup.job("mine", with({{"objective", "dpo"}, {"r", 4}, {key, value}}))});
    CHECK_EQ(changed.exit_code, 2);
    CHECK(changed.err.find(key + " differs from this job's") != std::string::npos);
  }
  Json::Object anew = kLora;
  anew.emplace_back("resume_from_checkpoint", Json());
  const Ran over = run_binary({"train", setup.job("mine", anew)});
  CHECK_EQ(over.exit_code, 2);
  CHECK(over.err.find("holds checkpoints of an earlier run") != std::string::npos);
}

TEST("two trainers never work in one folder") {
  TinyRun setup;
  const std::string job = setup.job("one", kLora);
  const pid_t pid = start_trainer(job);
  while (!path_exists(setup.dir / "one/events.jsonl")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGSTOP);
  const Ran second = run_binary({"train", job});
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  CHECK_EQ(second.exit_code, 2);
  CHECK(second.err.find("another trainer is running in this output_dir") != std::string::npos);
}
