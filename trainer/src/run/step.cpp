#include "run/step.h"

#include <algorithm>
#include <array>

#include "loss/sft.h"
#include "run/shares.h"
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
    if (pending_signal() != 0) return;
    pack(groups.subspan(begin, end - begin), batch);
    f(batch);
    begin = end;
  }
}

template <class Device, class T>
StepStats StepRunner<Device, T>::run(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn,
                          int64_t step) {
  StepStats stats;
  using DropoutStep = typename Decoder<Device, T>::DropoutStep;
  if (learn) trainee_.decoder->set_dropout(DropoutStep{static_cast<uint64_t>(job_.seed), static_cast<uint64_t>(step)});
  const StepScale scale = step_scale(data, groups, reference, stats);
  const std::span<const int64_t> share = share_of(data, groups, ranks_);
  std::vector<int64_t> sizes;
  for (const int64_t g : share) sizes.push_back(data.groups[g].view.tokens());
  size_t begin = 0;
  for (const size_t end : micro_batch_ends(sizes, micro_batch_tokens_)) {
    if (pending_signal() != 0) break;
    micro_batch(data, share.subspan(begin, end - begin), reference, learn, scale, stats);
    begin = end;
  }
  trainee_.decoder->set_dropout(std::nullopt);
  stats.add_up(ranks_);
  return stats;
}

template <class Device, class T>
StepScale StepRunner<Device, T>::step_scale(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, StepStats& stats) {
  if (job_.objective == Objective::dpo) {
    StepScale scale = preference_scale(data, groups, job_.loss);
    if (job_.loss.type == LossType::kto) stats.kl = scale.kl = estimate_kl(data, share_of(data, groups, ranks_), reference, stats);
    return scale;
  }
  StepScale scale;
  for (const int64_t g : groups) {
    const GroupView& view = data.groups[g].view;
    for (const Completion& c : view.completions)
      scale.weight += static_cast<double>(c.weight) * static_cast<double>(predicted_tokens(view, c));
  }
  return scale;
}

// KTO's z: the mean of log pi - log ref over the mismatched completions of the step's prompts, at least 0; no gradient runs
// through it (TRL 1.13, trl/trainer/kto_trainer.py, KTOTrainer._compute_loss).
template <class Device, class T>
double StepRunner<Device, T>::estimate_kl(const Dataset& data, std::span<const int64_t> share, const ReferenceLogps& reference, StepStats& stats) {
  views_.clear();
  std::array<double, 2> sums = {};  // of the log-ratios, and how many there are
  auto& [sum, completions] = sums;
  for (const int64_t g : share) {
    const GroupView& view = data.groups[g].mismatched;
    if (view.completions.empty()) continue;
    views_.push_back(&view);
    completions += static_cast<double>(view.completions.size());
    sum -= reference.mismatched[g];
  }
  for_micro_batches(views_, micro_batch_tokens_, [&](const PackedBatch& batch) {
    trainee_.decoder->forward(batch, trainee_.lora);
    logps_.resize(batch.n_rows());
    trainee_.decoder->head_logps(logps_.data());
    for (const double logp : sequence_logps(batch, logps_)) sum += logp;
    stats.tokens += batch.n_tokens();
  });
  ranks_.sum(std::span(sums));
  return completions > 0 ? std::max(0.0, sum / completions) : 0;
}

template <class Device, class T>
void StepRunner<Device, T>::micro_batch(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference,
                             bool learn, const StepScale& scale, StepStats& stats) {
  views_.clear();
  for (const int64_t g : groups) views_.push_back(&data.groups[g].view);
  pack(views_, batch_);
  logps_.resize(batch_.n_rows());
  coef_.assign(batch_.n_rows(), 0.0f);
  stats.tokens += batch_.n_tokens();
  trainee_.decoder->forward(batch_, trainee_.lora);
  if (job_.objective == Objective::sft) {
    sft(learn, scale, stats);
  } else {
    dpo(data, groups, reference, learn, scale, stats);
  }
  if (learn) trainee_.decoder->backward(trainee_.lora, trainee_.grads);
}

template <class Device, class T>
void StepRunner<Device, T>::sft(bool learn, const StepScale& scale, StepStats& stats) {
  for (const PackedCompletion& c : batch_.completions) {
    for (int32_t r = c.row_begin; r < c.row_end; r++) coef_[r] = static_cast<float>(sft_token(0, c.weight, scale.weight).d_logp);
  }
  if (learn) {
    trainee_.decoder->head_gradients(coef_.data(), logps_.data(), trainee_.grads);
  } else {
    trainee_.decoder->head_logps(logps_.data());
  }
  for (const PackedCompletion& c : batch_.completions) {
    for (int32_t r = c.row_begin; r < c.row_end; r++) stats.loss += sft_token(logps_[r], c.weight, scale.weight).loss;
  }
}

// Each row's coefficient waits for the log-probabilities it is compared with. A frozen head computes the direction of the gradient
// meanwhile; a trained one needs the coefficient in its own gradient and computes the logits twice.
template <class Device, class T>
void StepRunner<Device, T>::dpo(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn,
                     const StepScale& scale, StepStats& stats) {
  const bool frozen_head = trainee_.grads == nullptr;
  if (learn && frozen_head) {
    trainee_.decoder->head_unit_gradients(logps_.data());
  } else {
    trainee_.decoder->head_logps(logps_.data());
  }
  dpo_loss(data, groups, reference, scale, stats);
  if (!learn) return;
  if (frozen_head) {
    trainee_.decoder->head_apply_coef(coef_.data());
  } else {
    trainee_.decoder->head_gradients(coef_.data(), logps_.data(), trainee_.grads);
  }
}

template <class Device, class T>
void StepRunner<Device, T>::dpo_loss(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference,
                          const StepScale& scale, StepStats& stats) {
  std::vector<SequenceLogp> logps;
  const std::vector<double> sums = sequence_logps(batch_, logps_);
  for (size_t i = 0; i < sums.size(); i++) {
    const PackedCompletion& c = batch_.completions[i];
    const double of_reference = reference.by_segment.empty() ? 0 : reference.by_segment[c.segment];
    logps.push_back({sums[i], of_reference, static_cast<double>(c.row_end - c.row_begin)});
  }
  std::vector<double> d(logps.size(), 0.0);
  size_t first = 0;  // of the group's completions in the batch
  for (const int64_t g : groups) {
    const TrainGroup& group = data.groups[g];
    const size_t n = group.view.completions.size();
    add_preference_loss(group, std::span(logps).subspan(first, n), job_.loss, scale, std::span(d).subspan(first, n), stats);
    first += n;
  }
  for (size_t i = 0; i < d.size(); i++)
    for (int32_t r = batch_.completions[i].row_begin; r < batch_.completions[i].row_end; r++) coef_[r] = static_cast<float>(d[i]);
}

template class StepRunner<Cpu, float>;
#ifdef CONCORD_CUDA
template class StepRunner<Cuda, Bf16>;
template class StepRunner<Cuda, float>;
#endif

}  // namespace concord
