// Several processes that train one job together: what one process would train, and one end for all whatever happens to any.
#include <sys/wait.h>

#include <filesystem>
#include <thread>

#include "io/adapter.h"
#include "io/checkpoint_dir.h"
#include "tiny_run.h"

using namespace concord;
namespace fs = std::filesystem;

namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

Environment torchrun(int rank, int size) { return {{"RANK", std::to_string(rank)}, {"WORLD_SIZE", std::to_string(size)}, {"CONCORD_RENDEZVOUS_SECONDS", "60"}, {"CONCORD_THREADS", "1"}}; }

pid_t start(const std::string& job, const Environment& environment, const std::string& out) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  if (!freopen((out + ".out").c_str(), "w", stdout) || !freopen((out + ".err").c_str(), "w", stderr)) _exit(99);
  execl(CONCORD_BINARY, CONCORD_BINARY, "train", job.c_str(), nullptr);
  _exit(98);
}

std::string text(const std::string& path) { return std::string(read_file(path).text()); }

class Ranks {
 public:
  // Rank r runs jobs[r], or the last of them; `more` is for rank `of` alone.
  Ranks(const TempDir& dir, const std::vector<std::string>& jobs, int size, const Environment& more = {}, int of = 1) {
    for (int r = 0; r < size; r++) {
      Environment environment = torchrun(r, size);
      if (r == of) environment.insert(environment.end(), more.begin(), more.end());
      files_.push_back(dir / ("rank-" + std::to_string(r)));
      pids_.push_back(start(jobs[std::min(static_cast<size_t>(r), jobs.size() - 1)], environment, files_.back()));
    }
  }

  pid_t pid(int rank) const { return pids_[static_cast<size_t>(rank)]; }
  const std::vector<Ran>& wait() {
    for (size_t r = 0; r < pids_.size(); r++) {
      int status = 0;
      waitpid(pids_[r], &status, 0);
      ends_.push_back({WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text(files_[r] + ".out"), text(files_[r] + ".err")});
    }
    return ends_;
  }

 private:
  std::vector<std::string> files_;
  std::vector<pid_t> pids_;
  std::vector<Ran> ends_;
};

void train_together(const TempDir& dir, const std::string& job, int size) {
  Ranks ranks(dir, {job}, size);
  for (const Ran& end : ranks.wait()) CHECK_EQ(end.exit_code == 0 ? "" : end.err, "");
}

void train_alone(const std::string& job) {
  const Ran ran = run_binary({"train", job}, "CONCORD_THREADS=1");
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
}

void wait_for(const std::string& path) {
  for (int i = 0; i < 30000 && !path_exists(path); i++) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  CHECK(path_exists(path));
}

// Every number of every step and evaluation but those of speed and memory, within what another order of additions makes.
void require_same_events(const std::string& one, const std::string& other) {
  const std::vector<Json> a = events_in(text(one + "/events.jsonl")), b = events_in(text(other + "/events.jsonl"));
  CHECK_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); i++) {
    CHECK_EQ(event_name(a[i]), event_name(b[i]));
    if (event_name(a[i]) != "step" && event_name(a[i]) != "eval") continue;
    CHECK_EQ(a[i].object().size(), b[i].object().size());
    for (const auto& [key, value] : a[i].object()) {
      // As long as nothing is learned, rewards are 0 but for rounding, and which is larger means nothing.
      if (key.ends_with("rewards/accuracies") && event_number(a[i], "step") <= 1) continue;
      if (!value.is_number() || key == "time" || key == "memory_bytes" || key.ends_with("tokens_per_second")) continue;
      const double expected = event_number(a[i], key.c_str());
      CHECK_NEAR(event_number(b[i], key.c_str()), expected, 2e-5 * std::max(1.0, std::abs(expected)));
    }
  }
}

void require_same_adapters(const TinyRun& tiny, const std::string& one, const std::string& other) {
  const ModelConfig config = read_checkpoint_config(tiny.model);
  const Adapter a = read_adapter(tiny.dir / one + "/adapter", config), b = read_adapter(tiny.dir / other + "/adapter", config);
  CHECK_EQ(a.modules.size(), b.modules.size());
  for (size_t m = 0; m < a.modules.size(); m++)
    for (const auto part : {&LoraModule::a, &LoraModule::b})
      for (size_t i = 0; i < (a.modules[m].*part).size(); i++) CHECK_NEAR((b.modules[m].*part)[i], (a.modules[m].*part)[i], 2e-5);
}

const std::string kAdapter = "/adapter/adapter_model.safetensors";

// All checkpoints stay: a test that is slow to look must still find the one that it waits for.
const Json::Object kLong = {{"objective", "dpo"},    {"r", 4}, {"max_steps", 160}, {"save_steps", 8}, {"save_total_limit", 20},
                            {"learning_rate", 1e-3}, {"groups_per_step", 3}, {"resume_from_checkpoint", "auto"}};

}  // namespace

TEST("two and three ranks train what one does, whatever the objective, and say the same of it") {
  TinyRun tiny;
  Groups all = tiny_groups();
  for (int64_t s = 0; s < all.n_segments(); s++) {
    all.segment_tiers.push_back(s % 3 == 0 ? -1 : static_cast<int32_t>(s % 3 - 1));
    all.segment_labels.push_back(s % 3 == 0 ? -1 : static_cast<int32_t>(s % 3 - 1));
  }
  write_groups(tiny.groups, all);
  const std::vector<std::pair<std::string, Json::Object>> jobs = {
      {"dpo", {{"objective", "dpo"}, {"rpo_alpha", 0.5}, {"eval_file", tiny.groups}, {"eval_steps", 3}, {"micro_batch_tokens", 30}}},
      {"orpo", {{"objective", "dpo"}, {"loss_type", "orpo"}}},
      {"kto", {{"objective", "dpo"}, {"loss_type", "kto"}}},
      {"ranking", {{"objective", "dpo"}, {"loss_type", "plackett_luce"}}},
      {"sft", {{"objective", "sft"}, {"lora_dropout", 0.25}, {"load_in_4bit", true}}},
      {"dora", {{"objective", "sft"}, {"use_dora", true}}}};
  for (const auto& [name, extra] : jobs) {
    Json::Object job = extra;
    job.insert(job.end(), {{"r", 4}, {"groups_per_step", 5}, {"max_steps", 7}, {"learning_rate", 1e-3}});
    train_alone(tiny.job(name + "-1", job));
    for (const int size : {2, 3}) {
      const std::string out = name + "-" + std::to_string(size);
      train_together(tiny.dir, tiny.job(out, job), size);
      require_same_events(tiny.dir / name + "-1", tiny.dir / out);
      require_same_adapters(tiny, name + "-1", out);
    }
  }
}

TEST("full finetuning over two ranks, and every time the same bytes; only the first rank speaks and writes") {
  TinyRun tiny;
  const Json::Object full = {{"objective", "sft"}, {"finetuning_type", "full"}, {"max_steps", 6}, {"groups_per_step", 4}, {"learning_rate", 1e-3}};
  train_alone(tiny.job("one", full));
  Ranks ranks(tiny.dir, {tiny.job("two", full)}, 2);
  const std::vector<Ran>& ends = ranks.wait();
  CHECK_EQ(ends[0].exit_code + ends[1].exit_code, 0);
  CHECK_EQ(ends[0].out, text(tiny.dir / "two/events.jsonl"));
  CHECK_EQ(event_number(events_in(ends[0].out).front(), "ranks"), 2);
  CHECK_EQ(ends[1].out + ends[1].err, "");
  require_same_events(tiny.dir / "one", tiny.dir / "two");
  train_together(tiny.dir, tiny.job("again", full), 2);
  CHECK(text(tiny.dir / "two/model/model.safetensors") == text(tiny.dir / "again/model/model.safetensors"));
}

TEST("a rank that is killed ends all, and started again they end with the bytes of ranks that were not") {
  TinyRun tiny;
  train_together(tiny.dir, tiny.job("straight", kLong), 3);
  const std::string job = tiny.job("broken", kLong), out = tiny.dir / "broken";
  const auto kill_one = [&](int victim, int step) {
    Ranks ranks(tiny.dir, {job}, 3);
    wait_for(out + "/checkpoint-" + std::to_string(step));
    kill(ranks.pid(victim), SIGKILL);
    const std::vector<Ran>& ends = ranks.wait();
    for (int r = 0; r < 3; r++) CHECK_EQ(ends[static_cast<size_t>(r)].exit_code, r == victim ? 137 : 6);
    const std::string lost = "rank " + std::to_string(victim) + " ended without a word";
    CHECK(ends[victim == 0 ? 1 : 0].err.find(lost) != std::string::npos);
    if (victim != 0) {
      CHECK_EQ(ends[static_cast<size_t>(3 - victim)].err, "");  // the first has said it
      CHECK_EQ(event_name(events_in(text(out + "/events.jsonl")).back()), "error");
    }
  };
  kill_one(1, 24);
  kill_one(0, 56);
  kill_one(2, 96);
  train_together(tiny.dir, job, 3);
  CHECK(text(tiny.dir / "straight" + kAdapter) == text(out + kAdapter));
}

TEST("a signal to any rank stops all after a checkpoint, and they go on from there") {
  TinyRun tiny;
  train_together(tiny.dir, tiny.job("straight", kLong), 2);
  const std::string job = tiny.job("stopped", kLong), out = tiny.dir / "stopped";
  for (const auto& [rank, step] : {std::pair{1, 40}, std::pair{0, 80}}) {
    Ranks ranks(tiny.dir, {job}, 2);
    wait_for(out + "/checkpoint-" + std::to_string(step));
    kill(ranks.pid(rank), SIGTERM);
    for (const Ran& end : ranks.wait()) CHECK_EQ(end.exit_code, 143);
    CHECK(text(out + "/events.jsonl").ends_with("\"resumable\":true}\n"));
  }
  train_together(tiny.dir, job, 2);
  CHECK(text(tiny.dir / "straight" + kAdapter) == text(out + kAdapter));
}

TEST("what one rank cannot do ends all, said once and by the first") {
  TinyRun tiny;
  const Json::Object dpo = {{"objective", "dpo"}};
  Ranks ranks(tiny.dir, {tiny.job("out", dpo)}, 3, {{"CONCORD_THREADS", "none"}}, 1);
  const std::vector<Ran>& ends = ranks.wait();
  for (const Ran& end : ends) CHECK_EQ(end.exit_code, 2);
  CHECK(ends[0].err.find("groups_per_step is 2, too few for 3 ranks") != std::string::npos);
  Ranks two(tiny.dir, {tiny.job("out", dpo)}, 2, {{"CONCORD_THREADS", "none"}}, 1);
  const std::vector<Ran>& of_two = two.wait();
  CHECK(of_two[0].err.find("rank 1: CONCORD_THREADS must be a whole number") != std::string::npos);
  CHECK_EQ(of_two[1].err, "");
  CHECK_EQ(of_two[0].exit_code + of_two[1].exit_code, 4);
  CHECK(!path_exists(tiny.dir / "out"));
}

TEST("ranks of another job or with another file are refused, naming what differs") {
  TinyRun tiny;
  const std::string job = tiny.job("out", {{"objective", "dpo"}});
  const std::string elsewhere = tiny.dir.write("other.json", [&] {
    Json json = parse_json(text(job), job);
    json.set("learning_rate", 0.25);
    return to_text(json);
  }());
  Ranks ranks(tiny.dir, {job, elsewhere}, 2);
  const std::vector<Ran>& ends = ranks.wait();
  CHECK(ends[0].err.find("the ranks differ in their job: learning_rate is 0.25 at rank 1 and 1e-05 at rank 0") != std::string::npos);
  CHECK_EQ(ends[0].exit_code + ends[1].exit_code, 4);
  CHECK(!path_exists(tiny.dir / "out"));
}

TEST("ranks that do not come, or that a launcher describes by half, are refused by name") {
  TinyRun tiny;
  const std::string job = tiny.job("out", {{"objective", "dpo"}});
  const auto refused = [&](const std::string& environment, const std::string& why) {
    const Ran ran = run_binary({"train", job}, environment);
    CHECK_EQ(ran.exit_code, 2);
    if (ran.err.find(why) == std::string::npos) check::fail(__FILE__, __LINE__, ran.err);
  };
  refused("CONCORD_RENDEZVOUS_SECONDS=1 RANK=0 WORLD_SIZE=2", "of 2 ranks 1 did not come to 127.0.0.1, port ");
  refused("CONCORD_RENDEZVOUS_SECONDS=1 RANK=1 WORLD_SIZE=2", "rank 1 found no rank 0 at 127.0.0.1, port ");
  refused("RANK=0", "RANK is set, but not WORLD_SIZE");
  refused("PMI_SIZE=2", "PMI_SIZE is set, but not PMI_RANK");
  refused("OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK is 2, but ranks go from 0 to 1");
  refused("RANK=x WORLD_SIZE=2", "RANK must be a whole number");
  refused("RANK=0 WORLD_SIZE=2 MASTER_PORT=70000", "MASTER_PORT must be a whole number from 1 to 65535");
  refused("RANK=0 WORLD_SIZE=2 MASTER_ADDR=192.0.2.1", "rank 0 cannot listen at 192.0.2.1");
  CHECK_EQ(run_binary({"train", job}, "RANK=0 WORLD_SIZE=1").exit_code, 0);
}
