// One optimizer step's worth of groups through the model: loss, metrics and, if wanted, gradients.
// defines: StepRunner, ReferenceLogps
#pragma once

#include <functional>
#include <vector>

#include "model/decoder.h"
#include "run/preference.h"

namespace concord {

// Log-probabilities under the reference; empty where the loss has none.
struct ReferenceLogps {
  std::vector<double> by_segment;  // of the file: sums over target tokens
  std::vector<double> mismatched;  // by group of the dataset: sums over TrainGroup::mismatched
};

// What the steps read and write. `lora` null: full finetuning, with `grads`; else frozen weights, `grads` null.
template <class Device, class T>
struct Trainee {
  Decoder<Device, T>* decoder = nullptr;
  Lora<Device, T>* lora = nullptr;
  WeightViews<float>* grads = nullptr;
};

template <class Device, class T>
class StepRunner {
 public:
  StepRunner(Trainee<Device, T> trainee, const Job& job, int64_t micro_batch_tokens, Communicator& ranks = Communicator::alone())
      : trainee_(trainee), job_(job), micro_batch_tokens_(micro_batch_tokens), ranks_(ranks) {}

  // `groups` index data.groups. With `learn`, gradients of the mean loss over all these groups are added to the trainee's.
  // `step` is what dropout, which acts only where there is learning, is drawn anew for.
  // Of several ranks each computes the gradients of its share; the numbers returned are those of all groups.
  // Breaks off at a pending signal; then its numbers are those of a part, and the caller throws them away.
  StepStats run(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn, int64_t step = 0);

 private:
  StepScale step_scale(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, StepStats& stats);
  double estimate_kl(const Dataset& data, std::span<const int64_t> share, const ReferenceLogps& reference, StepStats& stats);
  void micro_batch(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn,
                   const StepScale& scale, StepStats& stats);
  void sft(bool learn, const StepScale& scale, StepStats& stats);
  void dpo(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn, const StepScale& scale,
           StepStats& stats);
  void dpo_loss(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, const StepScale& scale,
                StepStats& stats);

  Trainee<Device, T> trainee_;
  const Job& job_;
  int64_t micro_batch_tokens_;
  Communicator& ranks_;
  PackedBatch batch_;
  std::vector<const GroupView*> views_;
  std::vector<float> logps_, coef_;  // [rows]
};

// Sum of the rows' log-probabilities of each completion of the batch.
std::vector<double> sequence_logps(const PackedBatch& batch, const std::vector<float>& row_logps);

// Runs f(batch) over all groups in micro-batches of at most tokens_max, in order, until there is a pending signal.
void for_micro_batches(std::span<const GroupView* const> groups, int64_t tokens_max,
                       const std::function<void(const PackedBatch&)>& f);

}  // namespace concord
