// A small random model, an adapter for it and groups of random ids, made where a test needs them.
#pragma once

#include <cstdio>
#include <initializer_list>

#include "check.h"
#include "io/checkpoint_dir.h"
#include "io/groups.h"
#include "lora/lora.h"
#include "model/random.h"
#include "run/commands.h"
#include "temp_dir.h"

namespace tiny {

using namespace concord;

// Grouped queries, tied embeddings, an odd vocabulary. The wide initializer_range keeps the logits far from uniform.
inline Json config() {
  return Json::Object{{"model_type", "llama"}, {"hidden_size", 32}, {"intermediate_size", 48}, {"num_hidden_layers", 3},
                      {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"vocab_size", 61},
                      {"max_position_embeddings", 96}, {"tie_word_embeddings", true}, {"initializer_range", 0.25},
                      {"eos_token_id", 2}, {"dtype", "float32"}};
}

// Subcommands print one JSON line; a test's own output stays readable without it.
template <class F>
void silently(F&& f) {
  std::fflush(stdout);
  FILE* const kept = stdout;
  stdout = std::fopen("/dev/null", "w");
  f();
  std::fclose(stdout);
  stdout = kept;
}

inline std::string write_model(const TempDir& dir, const Json& config, const std::string& name = "model", int64_t seed = 1) {
  const std::string file = dir.write(name + "-config.json", to_text(config));
  silently([&] { run_init(file, seed, dir / name); });
  return dir / name;
}

// Rank 4 on every linear layer.
inline AdapterConfig rank_four() {
  AdapterConfig config;
  config.r = 4;
  return config;
}

// With a B that is not 0.
inline std::string write_lora(const TempDir& dir, const std::string& model, const std::string& name = "adapter",
                              const AdapterConfig& config = rank_four()) {
  Adapter adapter = new_adapter(config, read_checkpoint_config(model));
  initialize_adapter(adapter, 7);
  Random random(3, 0);
  for (LoraModule& module : adapter.modules)
    for (float& v : module.b) v = static_cast<float>(random.uniform() - 0.5) * 0.2f;
  write_adapter(dir / name, adapter);
  return dir / name;
}

using Ids = std::vector<int32_t>;

inline Ids random_ids(Random& random, int64_t n, int64_t vocab = 61) {
  Ids ids;
  for (int64_t i = 0; i < n; i++) ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab))));
  return ids;
}

// A file of groups, each a prompt and its completions.
struct GroupsFile {
  Groups groups;

  GroupsFile() {
    groups.segments = {0};
    groups.group_segments = {0};
  }
  GroupsFile& add(const Ids& prompt, const std::vector<Ids>& completions = {}) {
    append(prompt);
    for (const Ids& ids : completions) append(ids);
    groups.group_segments.push_back(groups.n_segments());
    return *this;
  }
  std::string write(const TempDir& dir, const std::string& name = "groups.safetensors") const {
    write_groups(dir / name, groups);
    return dir / name;
  }

 private:
  void append(const Ids& ids) {
    groups.tokens.insert(groups.tokens.end(), ids.begin(), ids.end());
    groups.segments.push_back(static_cast<int64_t>(groups.tokens.size()));
  }
};

struct Scores {
  std::vector<float> token_logps, logps;
};

inline Scores score(const TempDir& dir, const std::string& model, const std::string& groups, const std::string& adapter = "") {
  CHECK_EQ(run_score({model, adapter, groups, dir / "scores.safetensors"}), 0);
  const SafetensorsFile file = read_safetensors(dir / "scores.safetensors");
  return {to_f32(*file.find("token_logps")), to_f32(*file.find("logps"))};
}

// Every completion in a group of its own.
inline GroupsFile one_by_one(const Groups& file) {
  GroupsFile apart;
  for (int64_t g = 0; g < file.n_groups(); g++)
    for (int64_t s = file.completions_begin(g); s < file.completions_end(g); s++) {
      const auto prompt = file.segment_tokens(file.prompt_of(g)), completion = file.segment_tokens(s);
      apart.add({prompt.begin(), prompt.end()}, {{completion.begin(), completion.end()}});
    }
  return apart;
}

}  // namespace tiny
