// The loss of a step and its gradient, on a random model: against scores of the same completions, and by differences.
#include "pass.h"
#include "tiny_model.h"

using namespace concord;

namespace {

// Groups of two to four completions, pairs across them with uneven weights, and a mask with holes.
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
    for (int64_t s = 0; s < groups.n_segments(); s++) groups.segment_weights.push_back(static_cast<float>(0.5 + random.uniform()));
    for (size_t i = 0; i < groups.tokens.size(); i++) groups.token_mask.push_back(i % 5 != 3);
    save();
  }

  void save() { write_groups(file = dir / "groups.safetensors", groups); }

  Json job(const char* objective, bool full = false) const {
    Json json = Json::Object{{"model_name_or_path", model}, {"train_file", file}, {"objective", objective}};
    if (full) json.set("finetuning_type", "full");
    else json.set("adapter_name_or_path", adapter);
    return json;
  }
};

// A step along the gradient changes the loss as the gradient's norm says (fourth-order central difference).
void check_direction(Pass& pass) {
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

}  // namespace

TEST("however a step is cut into micro-batches, its loss and gradient are the same") {
  const Preferences data;
  for (const char* objective : {"dpo", "sft"}) {
    for (const bool full : {false, true}) {
      Json cut = data.job(objective, full);
      Pass whole(cut);
      for (const int64_t tokens : {1, 40}) {
        cut.set("micro_batch_tokens", tokens);
        Pass pieces(cut);
        CHECK_NEAR(pieces.stats.loss, whole.stats.loss, 1e-5 * whole.stats.loss);
        CHECK_EQ(pieces.stats.pairs, whole.stats.pairs);
        check_close(objective, pieces.model.grads(), whole.model.grads(), 1e-5);
      }
    }
  }
}

TEST("the gradient is that of the loss: DPO and SFT, LoRA and full, with smoothing and without") {
  for (const uint64_t seed : {5, 6, 7}) {
    const Preferences data(seed);
    for (const bool full : {false, true}) {
      Pass sft(data.job("sft", full));
      check_direction(sft);
      Json job = data.job("dpo", full);
      job.set("beta", 0.5);
      Pass dpo(job);
      check_direction(dpo);
      job.set("label_smoothing", 0.2);
      Pass smooth(job);
      check_direction(smooth);
    }
  }
}

TEST("the gradient of an adapter with gaps, uneven ranks and rsLoRA") {
  Preferences data;
  AdapterConfig config = tiny::rank_four();
  config.all_linear = false;
  config.target_modules = {"v_proj", "q_proj", "up_proj", "0.mlp.down_proj"};
  config.rank_pattern = {{"q_proj", 7}, {"up_proj", 1}};
  config.use_rslora = true;
  data.adapter = tiny::write_lora(data.dir, data.model, "uneven", config);
  for (const char* objective : {"dpo", "sft"}) {
    Pass pass(data.job(objective));
    check_direction(pass);
  }
}

TEST("DPO is the weighted mean over pairs of -log sigmoid(beta delta), on the scores of base and adapter") {
  const Preferences data;
  Json job = data.job("dpo");
  job.set("beta", 0.3);
  Groups unmasked = data.groups;
  unmasked.token_mask.clear();
  write_groups(data.file, unmasked);
  const Pass pass(job);
  const std::vector<float> policy = tiny::score(data.dir, data.model, data.file, data.adapter).logps;
  const std::vector<float> reference = tiny::score(data.dir, data.model, data.file).logps;
  std::vector<int64_t> place(data.groups.n_segments(), -1);  // of a segment among all completions
  int64_t next = 0;
  for (int64_t g = 0; g < data.groups.n_groups(); g++)
    for (int64_t s = data.groups.completions_begin(g); s < data.groups.completions_end(g); s++) place[s] = next++;
  double loss = 0, weights = 0, margin = 0;
  for (size_t p = 0; p < data.groups.pairs.size(); p++) {
    const auto [c, r] = data.groups.pairs[p];
    const double delta = (policy[place[c]] - policy[place[r]]) - (reference[place[c]] - reference[place[r]]);
    loss += data.groups.pair_weights[p] * std::log1p(std::exp(-0.3 * delta));
    weights += data.groups.pair_weights[p];
    margin += 0.3 * delta;
  }
  CHECK_NEAR(pass.stats.loss, loss / weights, 1e-5);
  CHECK_EQ(pass.stats.pairs, static_cast<int64_t>(data.groups.pairs.size()));
  CHECK_NEAR(pass.stats.rewards_chosen - pass.stats.rewards_rejected, margin, 1e-3);
}

TEST("SFT is the mean over target tokens, weighted by segment_weights; masked tokens count nowhere") {
  const Preferences data;
  const Pass pass(data.job("sft"));
  const std::vector<float> logps = tiny::score(data.dir, data.model, data.file, data.adapter).token_logps;
  double loss = 0, weights = 0;
  size_t next = 0;
  for (int64_t g = 0; g < data.groups.n_groups(); g++) {
    for (int64_t s = data.groups.completions_begin(g); s < data.groups.completions_end(g); s++) {
      for (int64_t i = data.groups.segments[s]; i < data.groups.segments[s + 1]; i++, next++) {
        if (!data.groups.token_mask[i]) continue;
        loss -= data.groups.segment_weights[s] * logps[next];
        weights += data.groups.segment_weights[s];
      }
    }
  }
  CHECK_NEAR(pass.stats.loss, loss / weights, 1e-5 * loss / weights);
}

TEST("weights matter by their ratio only") {
  Preferences data;
  Pass before(data.job("dpo"));
  for (float& w : data.groups.pair_weights) w *= 1000;
  data.save();
  Pass after(data.job("dpo"));
  CHECK_NEAR(after.stats.loss, before.stats.loss, 1e-6);
  check_close("gradient", after.model.grads(), before.model.grads(), 1e-5);
}

TEST("a pair of weight 0 is as if it were not there") {
  Preferences data;
  data.groups.pair_weights.back() = 0;
  data.save();
  Pass zero(data.job("dpo"));
  data.groups.pairs.pop_back();
  data.groups.pair_weights.pop_back();
  data.save();
  Pass absent(data.job("dpo"));
  CHECK_EQ(zero.stats.loss, absent.stats.loss);
  CHECK(zero.model.grads() == absent.model.grads());
}
