#include "run/step_stats.h"

#include <span>
#include <vector>

#include "loss/logistic.h"
#include "loss/reference_free.h"

namespace concord {
namespace {

double reported_logp(const SequenceLogp& logp, const LossOptions& options) {
  return loss_spec(options.type).mean_logps ? logp.mean() : logp.policy;
}

}  // namespace

void StepStats::add_chosen(const SequenceLogp& logp, const LossOptions& options) {
  chosen++;
  rewards_chosen += implicit_reward(logp, options);
  logps_chosen += reported_logp(logp, options);
}

void StepStats::add_rejected(const SequenceLogp& logp, const LossOptions& options) {
  rejected++;
  rewards_rejected += implicit_reward(logp, options);
  logps_rejected += reported_logp(logp, options);
}

void StepStats::add_pair(const PairLogps& pair, const LossOptions& options) {
  pairs++;
  add_chosen(pair.chosen, options);
  add_rejected(pair.rejected, options);
  accurate += implicit_reward(pair.chosen, options) > implicit_reward(pair.rejected, options);
  if (options.type != LossType::orpo) return;
  const double log_odds = odds_ratio(pair.chosen.mean(), pair.rejected.mean(), options.beta).log_odds;
  log_odds_ratio = log_odds_ratio.value_or(0) + log_sigmoid(log_odds);
  log_odds_chosen = log_odds_chosen.value_or(0) + log_odds;
}

void StepStats::add_up(Communicator& ranks) {
  if (ranks.size() == 1) return;
  double* const sums[] = {&loss, &rewards_chosen, &rewards_rejected, &accurate, &logps_chosen, &logps_rejected};
  int64_t* const counts[] = {&tokens, &pairs, &chosen, &rejected};
  std::optional<double>* const parts[] = {&nll_loss, &log_odds_ratio, &log_odds_chosen};  // absent where the share had no pair
  std::vector<double> all;
  for (const double* sum : sums) all.push_back(*sum);
  for (const int64_t* count : counts) all.push_back(static_cast<double>(*count));
  for (const auto* part : parts) all.insert(all.end(), {part->value_or(0), part->has_value() ? 1.0 : 0.0});
  ranks.sum(std::span(all));
  auto next = all.begin();
  for (double* sum : sums) *sum = *next++;
  for (int64_t* count : counts) *count = static_cast<int64_t>(*next++);
  for (auto* part : parts) {
    const double value = *next++;
    if (*next++ > 0) *part = value;
  }
}

void StepStats::append_dpo(Json::Object& fields, const std::string& prefix) const {
  const auto mean = [&](const char* name, double sum, int64_t n) {
    if (n > 0) fields.emplace_back(prefix + name, sum / static_cast<double>(n));
  };
  mean("rewards/chosen", rewards_chosen, chosen);
  mean("rewards/rejected", rewards_rejected, rejected);
  if (chosen > 0 && rejected > 0)
    fields.emplace_back(prefix + "rewards/margins",
                        rewards_chosen / static_cast<double>(chosen) - rewards_rejected / static_cast<double>(rejected));
  mean("rewards/accuracies", accurate, pairs);
  mean("logps/chosen", logps_chosen, chosen);
  mean("logps/rejected", logps_rejected, rejected);
  if (nll_loss) fields.emplace_back(prefix + "nll_loss", *nll_loss);
  if (log_odds_ratio) mean("log_odds_ratio", *log_odds_ratio, pairs);
  if (log_odds_chosen) mean("log_odds_chosen", *log_odds_chosen, pairs);
  if (kl) fields.emplace_back(prefix + "kl", *kl);
}

}  // namespace concord
