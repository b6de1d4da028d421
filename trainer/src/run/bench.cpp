// concord-trainer bench --job JOB.json: the job as `train` runs it, on random ids of a given shape.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "error.h"
#include "io/checkpoint_dir.h"
#include "io/groups.h"
#include "io/limits.h"
#include "model/random.h"
#include "ranks/launch.h"
#include "run/commands.h"

namespace concord {
namespace {

constexpr int64_t kWarmupSteps = 2;  // first touch of the buffers

struct TemporaryFolder {
  std::string path = join_path(std::filesystem::temp_directory_path().string(), "concord-bench-" + std::to_string(getpid()));
  TemporaryFolder() { make_dir(path); }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

// Each group's completions are ranked, the first best: as pairs of all of them, as tiers and as votes, whichever the job's loss reads.
Groups random_groups(const BenchArgs& args, int64_t groups, int64_t vocab_size) {
  Random random(1, 0);
  Groups file;
  file.segments = {0};
  file.group_segments = {0};
  file.has_pairs = args.completions > 1;
  for (int64_t g = 0; g < groups; g++) {
    const auto first = static_cast<int32_t>(file.n_segments() + 1);
    for (int64_t s = 0; s <= args.completions; s++) {
      const int64_t tokens = s == 0 ? args.prompt_tokens : args.completion_tokens;
      for (int64_t i = 0; i < tokens; i++) file.tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size))));
      file.segments.push_back(static_cast<int64_t>(file.tokens.size()));
      for (int64_t better = 1; better < s; better++) file.pairs.push_back({static_cast<int32_t>(first + better - 1), static_cast<int32_t>(first + s - 1)});
      file.segment_tiers.push_back(static_cast<int32_t>(s - 1));
      file.segment_labels.push_back(s == 0 ? -1 : s == 1);
    }
    file.group_segments.push_back(file.n_segments());
  }
  return file;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

Json summary(const std::string& events_path) {
  const FileBytes file = read_file(events_path);
  std::string_view lines = file.text();
  std::vector<double> rates;
  Json out;
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    const Json event = parse_json(lines.substr(0, end), events_path);
    lines.remove_prefix(end + 1);
    const std::string& name = JsonAt{&event, events_path, ""}["event"].string();
    if (name == "start") {
      for (const char* key : {"device", "parameters", "trainable_parameters", "memory"}) out.set(key, *event.find(key));
    }
    if (name != "step") continue;
    const JsonAt at{&event, events_path, ""};
    if (at["step"].integer(1, INT64_MAX) > kWarmupSteps) rates.push_back(at["tokens_per_second"].number(0, 1e15));
    out.set("tokens_per_step", *event.find("tokens"));
    out.set("peak_memory_bytes", *event.find("memory_bytes"));
  }
  const double rate = median(rates);
  out.set("tokens_per_second", rate);
  out.set("seconds_per_step", JsonAt{&out, "", ""}["tokens_per_step"].number(0, 1e15) / rate);
  return out;
}

}  // namespace

int run_bench(const BenchArgs& args) {
  if (launch_from_environment("").size > 1) bad_input("bench measures one process; run it without a launcher of ranks");
  const TemporaryFolder folder;
  Job job = read_job(args.job);
  job.device = args.device.value_or(job.device);
  if ((job.signal() == Signal::pairs || job.signal() == Signal::tiers) && args.completions < 2)
    bad_input("--completions must be 2 or more for a loss that compares them");
  const ModelConfig config = read_checkpoint_config(job.model_name_or_path);
  job.train_file = join_path(folder.path, "groups.safetensors");
  job.output_dir = join_path(folder.path, "out");
  job.max_steps = kWarmupSteps + args.steps;
  job.eval_file.clear();
  job.eval_steps = job.save_steps = job.early_stopping_patience = std::nullopt;
  job.load_best_model_at_end = false;
  job.resume_from_checkpoint.clear();
  write_groups(job.train_file, random_groups(args, job.groups_per_step, config.vocab_size));
  const int exit_code = run_train(job, EventSink::file);
  if (exit_code == exit_done) std::printf("%s\n", to_text(summary(join_path(job.output_dir, "events.jsonl"))).c_str());
  return exit_code;
}

}  // namespace concord
