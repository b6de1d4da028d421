// A model and preferences small enough that a whole run takes milliseconds.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "check.h"
#include "io/groups.h"
#include "io/json.h"
#include "run_binary.h"

constexpr const char* kTinyConfig = R"({"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":32,"intermediate_size":48,
  "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":64,"max_position_embeddings":64,
  "rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true,"eos_token_id":1})";

// 24 groups of a prompt and two completions, one preferred.
inline concord::Groups tiny_groups() {
  concord::Groups groups;
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

struct TinyRun {
  TempDir dir;
  std::string model, groups;

  TinyRun() : model(dir / "model"), groups(dir / "groups.safetensors") {
    CHECK_EQ(run_binary({"init", "--config", dir.write("config.json", kTinyConfig), "--seed", "5", "--out", model}).exit_code, 0);
    concord::write_groups(groups, tiny_groups());
  }

  // Writes `<out>.json`, a job whose output_dir is `<out>`; later members of `extra` replace earlier ones.
  std::string job(const std::string& out, const concord::Json::Object& extra) const {
    concord::Json json = concord::Json::Object{{"model_name_or_path", model}, {"train_file", groups}, {"output_dir", dir / out},
                                               {"groups_per_step", 2}};
    for (const auto& [key, value] : extra) json.set(key, value);
    return dir.write(out + ".json", concord::to_text(json));
  }
};

inline std::vector<concord::Json> events_in(const std::string& text) {
  std::vector<concord::Json> events;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    events.push_back(concord::parse_json(text.substr(begin, end - begin), "events"));
    begin = end + 1;
  }
  return events;
}

inline std::string event_name(const concord::Json& event) { return std::get<std::string>(event.find("event")->value); }

inline double event_number(const concord::Json& event, const char* key) {
  const concord::Json* value = event.find(key);
  if (!value || !value->is_number()) check::fail(__FILE__, __LINE__, std::string("an event has no number ") + key);
  return concord::JsonAt{value, "events", key}.number(-1e300, 1e300);
}

// The trainer in a process of its own, one thread, silent. It cannot make a file larger than `file_bytes_max`: to it that
// is a full disk.
inline pid_t start_trainer(const std::string& job, rlim_t file_bytes_max = RLIM_INFINITY) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  setenv("CONCORD_THREADS", "1", 1);
  const rlimit limit{file_bytes_max, file_bytes_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, SIG_IGN);
  if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
  execl(CONCORD_BINARY, CONCORD_BINARY, "train", job.c_str(), nullptr);
  _exit(98);
}
