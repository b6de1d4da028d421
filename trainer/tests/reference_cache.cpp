// The reference's log-probabilities beside the data: found again, never for another input, never torn, never believed when changed.
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>

#include "io/safetensors.h"
#include "tiny_run.h"

using namespace concord;

namespace {

const Json::Object kJob = {{"objective", "dpo"}, {"r", 4}, {"learning_rate", 5e-3}, {"max_steps", 3}};

struct CachedRun : TinyRun {
  int runs = 0;

  // "hit" or "miss" of a run of this job.
  std::string cache(const Json::Object& more = {}) {
    Json::Object job = kJob;
    job.insert(job.end(), more.begin(), more.end());
    last = "run" + std::to_string(runs++);
    ran = run_binary({"train", this->job(last, job)});
    CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
    const Json start = events_in(ran.out).front();
    return std::get<std::string>(start.find("reference")->find("cache")->value);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path))
      if (entry.path().filename().string().find(".reference-") != std::string::npos) found.push_back(entry.path().string());
    return found;
  }
  std::string adapter() const { return std::string(read_file(dir / (last + "/adapter/adapter_model.safetensors")).text()); }

  std::string last;
  Ran ran;
};

std::string bytes_of(const std::string& path) { return std::string(read_file(path).text()); }

void flip_bit(const std::string& path, size_t at) {
  std::string bytes = bytes_of(path);
  bytes.at(at) = static_cast<char>(bytes[at] ^ 1);
  write_file(path, bytes);
}

}  // namespace

TEST("the same data under the same reference is computed once, whatever else of the job changes") {
  CachedRun run;
  CHECK_EQ(run.cache(), "miss");
  const std::string adapter = run.adapter();
  CHECK_EQ(run.cache(), "hit");
  CHECK(run.adapter() == adapter);
  CHECK_EQ(run.cache({{"beta", 0.5}, {"loss_type", "ipo"}, {"learning_rate", 1e-4}, {"r", 2}}), "hit");
  CHECK_EQ(run.files().size(), size_t{1});
}

TEST("another token, mask, cut, weight, configuration or reference adapter is another cache") {
  CachedRun run;
  CHECK_EQ(run.cache(), "miss");
  const std::string base_adapter = run.dir / "run0/adapter";
  Groups groups = tiny_groups();
  groups.tokens[5] ^= 1;
  write_groups(run.groups, groups);
  CHECK_EQ(run.cache(), "miss");
  groups.token_mask.assign(groups.tokens.size(), 1);
  groups.token_mask[6] = 0;
  write_groups(run.groups, groups);
  CHECK_EQ(run.cache(), "miss");
  CHECK_EQ(run.cache({{"max_length", 10}, {"truncation_mode", "keep_start"}}), "miss");
  CHECK_EQ(run.cache({{"reference_adapter", base_adapter}}), "miss");
  CHECK_EQ(run.cache({{"reference_adapter", base_adapter}}), "hit");

  const std::string config = run.model + "/config.json", weights = run.model + "/model.safetensors";
  std::string text = bytes_of(config);
  const size_t theta = text.find("10000");
  CHECK(theta != std::string::npos);
  write_file(config, text.replace(theta, 5, "20000"));
  CHECK_EQ(run.cache(), "miss");
  flip_bit(weights, bytes_of(weights).size() - 4);
  CHECK_EQ(run.cache(), "miss");
  flip_bit(base_adapter + "/adapter_model.safetensors", bytes_of(base_adapter + "/adapter_model.safetensors").size() - 4);
  CHECK_EQ(run.cache({{"reference_adapter", base_adapter}}), "miss");
  CHECK_EQ(run.cache(), "hit");
}

TEST("a cache that was changed, cut or put in another's place is passed over and written again") {
  CachedRun run;
  CHECK_EQ(run.cache(), "miss");
  const std::string cache = run.files().at(0), adapter = run.adapter(), good = bytes_of(cache);
  for (size_t at = 0; at < good.size(); at += std::max<size_t>(1, good.size() / 40)) {
    flip_bit(cache, at);
    CHECK_EQ(run.cache(), "miss");
    CHECK(run.ran.err.find("reference cache not used: ") != std::string::npos);
    CHECK(run.adapter() == adapter);
    CHECK(bytes_of(cache) == good);
  }
  for (const size_t length : {size_t{0}, size_t{7}, good.size() - 1}) {
    write_file(cache, good.substr(0, length));
    CHECK_EQ(run.cache(), "miss");
    CHECK(bytes_of(cache) == good);
  }
  Groups groups = tiny_groups();
  groups.tokens[5] ^= 1;
  write_groups(run.groups, groups);
  CHECK_EQ(run.cache(), "miss");
  for (const std::string& file : run.files())
    if (file != cache) write_file(file, good);
  CHECK_EQ(run.cache(), "miss");
  CHECK(run.ran.err.find("is of other data or another reference") != std::string::npos);
}

TEST("runs side by side do not tear it") {
  CachedRun run;
  std::vector<pid_t> together;
  for (int i = 0; i < 6; i++) together.push_back(start_trainer(run.job("together" + std::to_string(i), kJob)));
  for (const pid_t pid : together) {
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  CHECK_EQ(run.files().size(), size_t{1});
  CHECK_EQ(run.cache(), "hit");
}

TEST("losses that compare with no reference leave none, and kto's has its mismatched completions") {
  CachedRun run;
  Json::Object job = kJob;
  job.emplace_back("loss_type", "simpo");
  const Ran simpo = run_binary({"train", run.job("simpo", job)});
  CHECK_EQ(simpo.exit_code == 0 ? "" : simpo.err, "");
  CHECK(events_in(simpo.out).front().find("reference") == nullptr);
  CHECK(run.files().empty());

  Groups groups = tiny_groups();
  for (int64_t s = 0; s < groups.n_segments(); s++) groups.segment_labels.push_back(static_cast<int32_t>(s % 3) - 1);
  write_groups(run.groups, groups);
  CHECK_EQ(run.cache({{"loss_type", "kto"}}), "miss");
  const double first = event_number(events_in(run.ran.out).at(2), "loss");
  CHECK_EQ(run.cache({{"loss_type", "kto"}}), "hit");
  CHECK_EQ(event_number(events_in(run.ran.out).at(2), "loss"), first);
  CHECK_EQ(run.cache(), "miss");  // of pairs: another set of completions
}

TEST("a resumed run has the reference that it began with") {
  CachedRun run;
  CHECK_EQ(run.cache(), "miss");
  const std::string one = run.dir / "run0/adapter";
  CHECK_EQ(run.cache({{"learning_rate", 1e-2}}), "hit");
  const std::string two = run.dir / "run1/adapter";
  const auto job = [&](const std::string& reference, int64_t steps) {
    Json::Object members = kJob;
    members.insert(members.end(), {{"reference_adapter", reference}, {"save_steps", 1}, {"max_steps", steps}, {"resume_from_checkpoint", "auto"}});
    return run.job("resumed", members);
  };
  CHECK_EQ(run_binary({"train", job(one, 3)}).exit_code, 0);
  const Ran other = run_binary({"train", job(two, 3)});
  CHECK_EQ(other.exit_code, 2);
  CHECK(other.err.find("reference_key differs from this job's") != std::string::npos);
  CHECK_EQ(run_binary({"train", job(one, 3)}).exit_code, 0);
}
