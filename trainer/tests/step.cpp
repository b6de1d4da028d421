// The loss of a step and its gradient, on a random model: against scores of the same completions, and by differences.
#include "preferences.h"

TEST("however a step is cut into micro-batches, its loss and gradient are the same") {
  const Preferences data;
  for (const char* objective : {"dpo", "sft", "orpo", "kto", "plackett_luce"}) {
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
