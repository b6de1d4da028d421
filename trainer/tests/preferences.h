// Groups to learn preferences from, and gradients of a whole step by differences.
#pragma once

#include "pass.h"
#include "tiny_model.h"

using namespace concord;

// Groups of two to four completions: pairs across them with uneven weights, tiers with ties, votes, and a mask with holes.
struct Preferences {
  TempDir dir;
  std::string model = tiny::write_model(dir, tiny::config()), adapter = tiny::write_lora(dir, model), file;
  Groups groups;

  explicit Preferences(uint64_t seed = 5) {
    Random random(seed, 0);
    tiny::GroupsFile made;
    for (int64_t g = 0; g < 6; g++) {
      std::vector<tiny::Ids> completions;
      for (int64_t c = 0; c < 2 + g % 3; c++) completions.push_back(tiny::random_ids(random, 2 + static_cast<int64_t>(random.below(7))));
      made.add(tiny::random_ids(random, g == 2 ? 1 : 3 + g), completions);
    }
    groups = made.groups;
    groups.has_pairs = true;
    for (int64_t g = 0; g < groups.n_groups(); g++) {
      for (int64_t s = groups.completions_begin(g) + 1; s < groups.completions_end(g); s++) {
        groups.pairs.push_back({static_cast<int32_t>(s), static_cast<int32_t>(groups.completions_begin(g))});
        groups.pair_weights.push_back(static_cast<float>(0.25 + random.uniform()));
      }
    }
    for (int64_t g = 0; g < groups.n_groups(); g++) {
      for (int64_t s = groups.prompt_of(g), c = -1; s < groups.completions_end(g); s++, c++) {
        groups.segment_tiers.push_back(c < 0 ? -1 : g % 2 == 0 ? std::array{0, 1, 1, 2}[c] : std::array{1, 0, 0, -1}[c]);
        groups.segment_labels.push_back(c < 0 ? -1 : static_cast<int32_t>(c == 0 ? g % 2 : (g + c) % 3 - 1));
      }
    }
    for (int64_t s = 0; s < groups.n_segments(); s++) groups.segment_weights.push_back(static_cast<float>(0.5 + random.uniform()));
    for (size_t i = 0; i < groups.tokens.size(); i++) groups.token_mask.push_back(i % 5 != 3);
    save();
  }

  void save() { write_groups(file = dir / "groups.safetensors", groups); }

  // A job of `objective`, or of objective dpo with that loss_type.
  Json job(const std::string& objective, bool full = false) const {
    Json json = Json::Object{{"model_name_or_path", model}, {"train_file", file}, {"objective", objective == "sft" ? "sft" : "dpo"}};
    if (objective != "sft" && objective != "dpo") json.set("loss_type", objective);
    if (objective == "exo_pair") json.set("label_smoothing", 0.1);
    if (full) json.set("finetuning_type", "full");
    else json.set("adapter_name_or_path", adapter);
    return json;
  }
};

// A step along the gradient changes the loss as the gradient's norm says (fourth-order central difference).
inline void check_direction(Pass& pass) {
  const std::vector<float> grads = pass.model.grads();
  const double norm = pass.grad_norm(), h = 5e-3 / std::max(norm, 1.0);
  CHECK(norm > 1e-4);
  float* parameters = pass.model.parameters();
  const std::vector<float> kept(parameters, parameters + grads.size());
  const auto loss_at = [&](double t) {
    for (size_t i = 0; i < grads.size(); i++) parameters[i] = kept[i] + static_cast<float>(t * grads[i] / norm);
    return pass.run(false).loss;
  };
  const double slope = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
  CHECK_NEAR(slope, norm, 1e-3 * norm);
}
