// Each preference loss as a step computes it: its value on scores of the same completions, its gradient by differences, what it
// reads of a file and what it refuses.
#include "loss/kto.h"
#include "loss/plackett_luce.h"
#include "preferences.h"

namespace {

// Scores of base and adapter for each completion: sums over its unmasked tokens.
struct Scored {
  std::vector<SequenceLogp> by_segment;

  Scored(const Preferences& data, const std::string& policy, const std::string& reference) : Scored(data, data.groups, data.file, policy, reference) {}

  Scored(const Preferences& data, const Groups& groups, const std::string& file, const std::string& policy, const std::string& reference) {
    const std::vector<float> of_policy = tiny::score(data.dir, data.model, file, policy).token_logps;
    const std::vector<float> of_reference = tiny::score(data.dir, data.model, file, reference).token_logps;
    by_segment.resize(static_cast<size_t>(groups.n_segments()));
    size_t next = 0;
    for (int64_t g = 0; g < groups.n_groups(); g++)
      for (int64_t s = groups.completions_begin(g); s < groups.completions_end(g); s++) {
        SequenceLogp& logp = by_segment[s];
        logp.tokens = 0;
        for (int64_t t = groups.segments[s]; t < groups.segments[s + 1]; t++, next++) {
          if (!groups.token_mask.empty() && !groups.token_mask[t]) continue;
          logp.policy += of_policy[next];
          logp.reference += of_reference[next];
          logp.tokens++;
        }
      }
  }
};

std::vector<const LossSpec*> losses_of(Signal signal) {
  std::vector<const LossSpec*> found;
  for (const LossSpec& spec : loss_specs())
    if (spec.signal == signal) found.push_back(&spec);
  return found;
}

double mean_over_pairs(const Preferences& data, const Scored& scored, const LossOptions& options) {
  double loss = 0, weights = 0, nll = 0, nll_tokens = 0;
  for (size_t p = 0; p < data.groups.pairs.size(); p++) {
    const auto [c, r] = data.groups.pairs[p];
    const double w = data.groups.pair_weights[p];
    loss += w * pair_loss({scored.by_segment[c], scored.by_segment[r]}, options).loss;
    nll -= w * scored.by_segment[c].policy;
    nll_tokens += w * scored.by_segment[c].tokens;
    weights += w;
  }
  return loss / weights + nll_weight(options) * nll / nll_tokens;
}

// Each prompt with the voted completions of the group before it.
struct Mismatched {
  Groups groups;
  std::string file;

  explicit Mismatched(const Preferences& data) {
    const Groups& from = data.groups;
    tiny::GroupsFile made;
    std::vector<uint8_t> mask;
    const auto add = [&](int64_t s, std::vector<tiny::Ids>* completions) {
      const auto ids = from.segment_tokens(s);
      if (completions) completions->push_back({ids.begin(), ids.end()});
      for (int64_t t = from.segments[s]; t < from.segments[s + 1]; t++) mask.push_back(from.token_mask[t]);
    };
    for (int64_t g = 0; g < from.n_groups(); g++) {
      const int64_t before = (g + from.n_groups() - 1) % from.n_groups();
      const auto prompt = from.segment_tokens(from.prompt_of(g));
      std::vector<tiny::Ids> completions;
      add(from.prompt_of(g), nullptr);
      for (int64_t s = from.completions_begin(before); s < from.completions_end(before); s++)
        if (from.segment_labels[s] >= 0) add(s, &completions);
      made.add({prompt.begin(), prompt.end()}, completions);
    }
    groups = made.groups;
    file = made.write(data.dir, "mismatched.safetensors");
    groups.token_mask = mask;
  }
};

}  // namespace

TEST("every loss of pairs is its weighted mean over pairs, on the scores of policy and reference") {
  const Preferences data;
  const Scored scored(data, data.adapter, "");
  for (const LossSpec* spec : losses_of(Signal::pairs)) {
    Json job = data.job(spec->name);
    job.set("beta", 0.3);
    const Pass pass(job);
    const double want = mean_over_pairs(data, scored, pass.job.loss);
    CHECK_NEAR(pass.stats.loss, want, 1e-5 * (1 + want));
    CHECK_EQ(pass.stats.pairs, static_cast<int64_t>(data.groups.pairs.size()));
    double margin = 0;
    for (const auto& [c, r] : data.groups.pairs)
      margin += implicit_reward(scored.by_segment[c], pass.job.loss) - implicit_reward(scored.by_segment[r], pass.job.loss);
    CHECK_NEAR(pass.stats.rewards_chosen - pass.stats.rewards_rejected, margin, 1e-3);
  }
}

TEST("rpo_alpha adds the mean negative log-likelihood over the chosen's tokens, and orpo has it of itself") {
  const Preferences data;
  const Scored scored(data, data.adapter, "");
  for (const char* loss : {"sigmoid", "simpo", "orpo"}) {
    Json job = data.job(loss);
    if (std::string(loss) != "orpo") job.set("rpo_alpha", 0.7);
    const Pass pass(job);
    const double want = mean_over_pairs(data, scored, pass.job.loss);
    CHECK_NEAR(pass.stats.loss, want, 1e-5 * want);
    LossOptions without = pass.job.loss;
    without.rpo_alpha.reset();
    if (without.type != LossType::orpo) CHECK_NEAR(*pass.stats.nll_loss, (want - mean_over_pairs(data, scored, without)) / 0.7, 1e-5);
    CHECK(nll_weight(pass.job.loss) * *pass.stats.nll_loss > 0.1);
  }
}

TEST("plackett_luce is the mean over groups, on beta times the log-ratios; unranked completions count nowhere") {
  const Preferences data;
  const Scored scored(data, data.adapter, "");
  Json job = data.job("plackett_luce");
  job.set("beta", 0.4);
  const Pass pass(job);
  double want = 0;
  int64_t groups = 0, pairs = 0;
  for (int64_t g = 0; g < data.groups.n_groups(); g++) {
    std::vector<double> scores;
    std::vector<int32_t> tiers;
    for (int64_t s = data.groups.completions_begin(g); s < data.groups.completions_end(g); s++) {
      if (data.groups.segment_tiers[s] < 0) continue;
      scores.push_back(0.4 * scored.by_segment[s].ratio());
      tiers.push_back(data.groups.segment_tiers[s]);
    }
    std::vector<double> d(scores.size());
    want += plackett_luce(scores, tiers, d);
    for (const int32_t x : tiers) pairs += std::count_if(tiers.begin(), tiers.end(), [&](int32_t y) { return x < y; });
    groups++;
  }
  CHECK_NEAR(pass.stats.loss, want / static_cast<double>(groups), 1e-5);
  CHECK_EQ(pass.stats.pairs, pairs);
  CHECK(data.groups.n_groups() == groups && pass.data.report.dropped_unpaired > 0);
}

TEST("kto: the mean over votes against the reference point of the mismatched completions") {
  const Preferences data;
  const Scored scored(data, data.adapter, "");
  const Mismatched mismatched(data);
  const Scored other(data, mismatched.groups, mismatched.file, data.adapter, "");
  double kl = 0;
  int64_t n = 0;
  for (int64_t g = 0; g < mismatched.groups.n_groups(); g++)
    for (int64_t s = mismatched.groups.completions_begin(g); s < mismatched.groups.completions_end(g); s++, n++) kl += other.by_segment[s].ratio();
  kl = std::max(0.0, kl / static_cast<double>(n));
  Json job = data.job("kto");
  job.set("beta", 0.3);
  job.set("desirable_weight", 1.5);
  job.set("undesirable_weight", 0.5);
  const Pass pass(job);
  CHECK_NEAR(*pass.stats.kl, kl, 1e-4 * (1 + kl));
  double want = 0;
  int64_t votes = 0, desirable = 0;
  for (int64_t s = 0; s < data.groups.n_segments(); s++) {
    if (data.groups.segment_labels[s] < 0) continue;
    const bool good = data.groups.segment_labels[s] == 1;
    want += (good ? 1.5 : 0.5) * kto(scored.by_segment[s].ratio(), kl, 0.3, good).loss;
    votes++;
    desirable += good;
  }
  CHECK_NEAR(pass.stats.loss, want / static_cast<double>(votes), 1e-5);
  CHECK_EQ(pass.stats.chosen, desirable);
  CHECK_EQ(pass.stats.rejected, votes - desirable);
  CHECK(desirable > 0 && desirable < votes);
}

TEST("kto where the policy is the reference's like: the estimate is at least 0, and no gradient runs through it") {
  const Preferences data;
  Json forward = data.job("kto"), backward = data.job("kto");
  // The other way round the mean of the log-ratios changes its sign.
  std::erase_if(std::get<Json::Object>(backward.value), [](const auto& member) { return member.first == "adapter_name_or_path"; });
  backward.set("reference_adapter", data.adapter);
  backward.set("target_modules", Json::Array{"q_proj", "down_proj"});
  Pass one(forward), two(backward);
  CHECK((*one.stats.kl == 0) != (*two.stats.kl == 0));
  check_direction(*one.stats.kl == 0 ? one : two);
}

TEST("the gradient of every loss is that of its value, for an adapter and for all weights") {
  for (const LossSpec& spec : loss_specs()) {
    if (spec.type == LossType::kto) continue;  // above: where its reference point does not move
    for (const bool full : {false, true}) {
      const Preferences data;
      Json job = data.job(spec.name, full);
      job.set("beta", 0.5);
      if (spec.rpo_alpha) job.set("rpo_alpha", 0.3);
      Pass pass(job);
      check_direction(pass);
    }
  }
}

TEST("the reference is the adapter that the job names, not the base") {
  const Preferences data;
  const std::string other = tiny::write_lora(data.dir, data.model, "other", [] {
    AdapterConfig config = tiny::rank_four();
    config.lora_alpha = 3;
    return config;
  }());
  for (const char* loss : {"sigmoid", "ipo", "plackett_luce"}) {
    Json job = data.job(loss);
    job.set("reference_adapter", other);
    const Pass pass(job);
    const Scored scored(data, data.adapter, other);
    for (size_t s = 0; s < scored.by_segment.size(); s++)
      if (pass.reference.by_segment[s] != 0) CHECK_NEAR(pass.reference.by_segment[s], scored.by_segment[s].reference, 1e-4);
    if (pass.job.signal() == Signal::pairs) CHECK_NEAR(pass.stats.loss, mean_over_pairs(data, scored, pass.job.loss), 1e-4);
    job.set("reference_adapter", data.adapter);
    CHECK_EQ(Pass(job).stats.rewards_chosen, 0.0);
  }
}

TEST("a ranking of two is DPO, and so is its gradient") {
  Preferences data;
  tiny::GroupsFile two;
  Random random(3, 0);
  for (int g = 0; g < 4; g++) two.add(tiny::random_ids(random, 4), {tiny::random_ids(random, 5), tiny::random_ids(random, 3)});
  data.groups = two.groups;
  data.groups.has_pairs = true;
  for (int32_t g = 0; g < 4; g++) {
    data.groups.pairs.push_back({3 * g + 2, 3 * g + 1});
    for (const int32_t tier : {-1, 4, 1}) data.groups.segment_tiers.push_back(tier);
  }
  data.save();
  Pass pairs(data.job("sigmoid")), ranking(data.job("plackett_luce"));
  CHECK_NEAR(ranking.stats.loss, pairs.stats.loss, 1e-12);
  CHECK(ranking.model.grads() == pairs.model.grads());
}

TEST("prompt-less documents: the loss is that of each alone, and no document sees another, however they are packed") {
  Preferences data;
  Random random(9, 0);
  tiny::GroupsFile documents;
  for (int d = 0; d < 5; d++) documents.add({}, {tiny::random_ids(random, 4 + 3 * d)});
  data.groups = documents.groups;
  data.save();
  Pass packed(data.job("sft"));
  double sum = 0, tokens = 0;
  std::vector<float> before = tiny::score(data.dir, data.model, data.file, data.adapter).token_logps;
  for (size_t t = 0; t < before.size(); t++) sum -= before[t];
  for (int d = 0; d < 5; d++) tokens += 3 + 3 * d;  // the first token of a document is predicted by nothing
  CHECK_NEAR(packed.stats.loss, sum / tokens, 1e-5);

  const std::vector<float> alone = tiny::score(data.dir, data.model, tiny::one_by_one(data.groups).write(data.dir, "alone.safetensors"), data.adapter).token_logps;
  check_close("packed", before, alone, 1e-5);
  data.groups.tokens[1] = (data.groups.tokens[1] + 1) % 61;  // of the first document
  data.save();
  const std::vector<float> after = tiny::score(data.dir, data.model, data.file, data.adapter).token_logps;
  CHECK(before[1] != after[1]);
  CHECK(std::equal(before.begin() + 4, before.end(), after.begin() + 4));
}
