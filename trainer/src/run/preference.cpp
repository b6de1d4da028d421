#include "run/preference.h"

#include "loss/kto.h"
#include "loss/plackett_luce.h"
#include "loss/sft.h"

namespace concord {
namespace {

// The mean over pairs, by weight; and, where the loss has one, the negative log-likelihood of the chosen as a mean over tokens.
void add_pairs(const TrainGroup& group, std::span<const SequenceLogp> logps, const LossOptions& options, const StepScale& scale,
               std::span<double> d, StepStats& stats) {
  const double nll = nll_weight(options);
  for (const TrainPair& pair : group.pairs) {
    const PairLogps two{logps[pair.chosen], logps[pair.rejected]};
    const PairLoss loss = pair_loss(two, options);
    const double share = pair.weight / scale.weight;
    stats.loss += share * loss.loss;
    d[pair.chosen] += share * loss.d_chosen;
    d[pair.rejected] += share * loss.d_rejected;
    stats.add_pair(two, options);
    if (nll == 0) continue;
    const TokenLoss chosen = sft_token(two.chosen.policy, pair.weight, scale.nll_tokens);
    stats.nll_loss = stats.nll_loss.value_or(0) + chosen.loss;
    stats.loss += nll * chosen.loss;
    d[pair.chosen] += nll * chosen.d_logp;
  }
}

// TRL's mean: over all votes, whatever their weights.
void add_votes(const TrainGroup& group, std::span<const SequenceLogp> logps, const LossOptions& options, const StepScale& scale,
               std::span<double> d, StepStats& stats) {
  for (size_t i = 0; i < logps.size(); i++) {
    const bool desirable = group.labels[i] == 1;
    const VoteLoss vote = kto(logps[i].ratio(), scale.kl, options.beta, desirable);
    const double share = (desirable ? options.desirable_weight : options.undesirable_weight) / scale.weight;
    stats.loss += share * vote.loss;
    d[i] += share * vote.d;
    if (desirable) stats.add_chosen(logps[i], options);
    else stats.add_rejected(logps[i], options);
  }
}

// The mean over groups.
void add_ranking(const TrainGroup& group, std::span<const SequenceLogp> logps, const LossOptions& options, const StepScale& scale,
                 std::span<double> d, StepStats& stats) {
  std::vector<double> scores, by_score(logps.size());
  for (const SequenceLogp& logp : logps) scores.push_back(implicit_reward(logp, options));
  stats.loss += plackett_luce(scores, group.tiers, by_score) / scale.weight;
  for (size_t i = 0; i < logps.size(); i++) d[i] += options.beta * by_score[i] / scale.weight;
  for (size_t i = 0; i < logps.size(); i++)
    for (size_t j = 0; j < logps.size(); j++)
      if (group.tiers[i] < group.tiers[j]) stats.add_pair({logps[i], logps[j]}, options);
}

}  // namespace

StepScale preference_scale(const Dataset& data, std::span<const int64_t> groups, const LossOptions& options) {
  StepScale scale;
  for (const int64_t g : groups) {
    const TrainGroup& group = data.groups[g];
    switch (loss_spec(options.type).signal) {
      case Signal::labels: scale.weight += static_cast<double>(group.labels.size()); break;
      case Signal::tiers: scale.weight += 1; break;
      default:
        for (const TrainPair& p : group.pairs) {
          scale.weight += p.weight;
          scale.nll_tokens += p.weight * static_cast<double>(predicted_tokens(group.view, group.view.completions[p.chosen]));
        }
    }
  }
  return scale;
}

void add_preference_loss(const TrainGroup& group, std::span<const SequenceLogp> logps, const LossOptions& options, const StepScale& scale,
                         std::span<double> d, StepStats& stats) {
  switch (loss_spec(options.type).signal) {
    case Signal::labels: return add_votes(group, logps, options, scale, d, stats);
    case Signal::tiers: return add_ranking(group, logps, options, scale, d, stats);
    default: return add_pairs(group, logps, options, scale, d, stats);
  }
}

}  // namespace concord
