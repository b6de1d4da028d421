#include "run/step.h"

#include "loss/sft.h"
#include "run/signals.h"

namespace concord {

std::vector<double> sequence_logps(const PackedBatch& batch, const std::vector<float>& row_logps) {
  std::vector<double> sums;
  for (const PackedCompletion& c : batch.completions) {
    double sum = 0;
    for (int32_t r = c.row_begin; r < c.row_end; r++) sum += row_logps[r];
    sums.push_back(sum);
  }
  return sums;
}

void for_micro_batches(std::span<const GroupView* const> groups, int64_t tokens_max,
                       const std::function<void(const PackedBatch&)>& f) {
  std::vector<int64_t> sizes;
  for (const GroupView* g : groups) sizes.push_back(g->tokens());
  PackedBatch batch;
  size_t begin = 0;
  for (const size_t end : micro_batch_ends(sizes, tokens_max)) {
    pack(groups.subspan(begin, end - begin), batch);
    f(batch);
    begin = end;
  }
}

void StepStats::append_dpo(Json::Object& fields, const std::string& prefix) const {
  if (pairs == 0) return;
  const double n = static_cast<double>(pairs);
  fields.emplace_back(prefix + "rewards/chosen", rewards_chosen / n);
  fields.emplace_back(prefix + "rewards/rejected", rewards_rejected / n);
  fields.emplace_back(prefix + "rewards/margins", (rewards_chosen - rewards_rejected) / n);
  fields.emplace_back(prefix + "rewards/accuracies", accurate / n);
  fields.emplace_back(prefix + "logps/chosen", logps_chosen / n);
  fields.emplace_back(prefix + "logps/rejected", logps_rejected / n);
}

StepStats StepRunner::run(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference,
                          bool learn) {
  StepStats stats;
  const double weight_sum = step_weight(data, groups);
  std::vector<int64_t> sizes;
  for (const int64_t g : groups) sizes.push_back(data.groups[g].view.tokens());
  size_t begin = 0;
  for (const size_t end : micro_batch_ends(sizes, micro_batch_tokens_)) {
    if (pending_signal() != 0) break;
    micro_batch(data, groups.subspan(begin, end - begin), reference, learn, weight_sum, stats);
    begin = end;
  }
  return stats;
}

// What the step's loss is divided by, known before its first micro-batch: the weight of all target tokens (SFT) or pairs.
double StepRunner::step_weight(const Dataset& data, std::span<const int64_t> groups) const {
  double sum = 0;
  for (const int64_t g : groups) {
    const TrainGroup& group = data.groups[g];
    for (const TrainPair& p : group.pairs) sum += p.weight;
    if (job_.objective == Objective::dpo) continue;
    for (const Completion& c : group.view.completions) {
      sum += static_cast<double>(c.weight) * static_cast<double>(predicted_tokens(group.view, c));
    }
  }
  return sum;
}

void StepRunner::micro_batch(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference,
                             bool learn, double weight_sum, StepStats& stats) {
  views_.clear();
  for (const int64_t g : groups) views_.push_back(&data.groups[g].view);
  pack(views_, batch_);
  logps_.resize(batch_.n_rows());
  coef_.assign(batch_.n_rows(), 0.0f);
  stats.tokens += batch_.n_tokens();
  trainee_.decoder->forward(batch_, trainee_.lora);
  if (job_.objective == Objective::sft) {
    sft(learn, weight_sum, stats);
  } else {
    dpo(data, groups, reference, learn, weight_sum, stats);
  }
  if (learn) trainee_.decoder->backward(batch_, trainee_.lora, trainee_.grads);
}

void StepRunner::sft(bool learn, double weight_sum, StepStats& stats) {
  for (const PackedCompletion& c : batch_.completions) {
    for (int32_t r = c.row_begin; r < c.row_end; r++) coef_[r] = static_cast<float>(sft_token(0, c.weight, weight_sum).d_logp);
  }
  if (learn) {
    trainee_.decoder->head_gradients(batch_, coef_.data(), logps_.data(), trainee_.grads);
  } else {
    trainee_.decoder->head_logps(batch_, logps_.data());
  }
  for (const PackedCompletion& c : batch_.completions) {
    for (int32_t r = c.row_begin; r < c.row_end; r++) stats.loss += sft_token(logps_[r], c.weight, weight_sum).loss;
  }
}

// Each row's coefficient waits for its pair's log-probabilities. A frozen head computes the direction of the gradient
// meanwhile; a trained one needs the coefficient in its own gradient and computes the logits twice.
void StepRunner::dpo(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference, bool learn,
                     double weight_sum, StepStats& stats) {
  const bool frozen_head = trainee_.grads == nullptr;
  if (learn && frozen_head) {
    trainee_.decoder->head_unit_gradients(batch_, logps_.data());
  } else {
    trainee_.decoder->head_logps(batch_, logps_.data());
  }
  dpo_loss(data, groups, reference, weight_sum, stats);
  if (!learn) return;
  if (frozen_head) {
    trainee_.decoder->head_apply_coef(batch_, coef_.data());
  } else {
    trainee_.decoder->head_gradients(batch_, coef_.data(), logps_.data(), trainee_.grads);
  }
}

void StepRunner::dpo_loss(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference,
                          double weight_sum, StepStats& stats) {
  const std::vector<double> sums = sequence_logps(batch_, logps_);
  const auto add_coef = [&](const PackedCompletion& c, double d) {
    for (int32_t r = c.row_begin; r < c.row_end; r++) coef_[r] += static_cast<float>(d);
  };
  size_t first = 0;  // of the group's completions in the batch
  for (const int64_t g : groups) {
    const TrainGroup& group = data.groups[g];
    for (const TrainPair& pair : group.pairs) {
      const size_t chosen = first + pair.chosen, rejected = first + pair.rejected;
      const PairLogps logps{sums[chosen], sums[rejected], reference[batch_.completions[chosen].segment],
                            reference[batch_.completions[rejected].segment]};
      const PairLoss loss = dpo_sigmoid(logps, job_.beta, job_.label_smoothing);
      const double share = pair.weight / weight_sum;
      stats.loss += share * loss.loss;
      add_coef(batch_.completions[chosen], share * loss.d_chosen);
      add_coef(batch_.completions[rejected], share * loss.d_rejected);
      const PairRewards rewards = dpo_rewards(logps, job_.beta);
      stats.pairs++;
      stats.rewards_chosen += rewards.chosen;
      stats.rewards_rejected += rewards.rejected;
      stats.accurate += rewards.chosen > rewards.rejected;
      stats.logps_chosen += logps.chosen;
      stats.logps_rejected += logps.rejected;
    }
    first += group.view.completions.size();
  }
}

}  // namespace concord
