// One optimizer step's worth of groups through the model: loss, metrics and, if wanted, gradients.
// defines: StepRunner, StepStats
#pragma once

#include <functional>
#include <vector>

#include "loss/dpo.h"
#include "model/decoder.h"
#include "run/dataset.h"

namespace concord {

// Sums over a step; averages are taken over all of its pairs whatever the micro-batches were.
struct StepStats {
  double loss = 0;
  int64_t tokens = 0;   // through the layers
  int64_t pairs = 0;    // DPO
  double rewards_chosen = 0, rewards_rejected = 0, accurate = 0;
  double logps_chosen = 0, logps_rejected = 0;

  // Adds `<prefix>rewards/chosen` and so on, TRL's names, where there were pairs.
  void append_dpo(Json::Object& fields, const std::string& prefix) const;
};

// What the steps read and write. `lora` null: full finetuning, with `grads`; else frozen weights, `grads` null.
struct Trainee {
  Decoder<float>* decoder = nullptr;
  Lora<float>* lora = nullptr;
  WeightViews<float>* grads = nullptr;
};

class StepRunner {
 public:
  StepRunner(Trainee trainee, const Job& job, int64_t micro_batch_tokens)
      : trainee_(trainee), job_(job), micro_batch_tokens_(micro_batch_tokens) {}

  // `groups` index data.groups. `reference` holds log-probabilities by segment of the file (DPO). With `learn`, gradients
  // of the mean loss over all these groups are added to the trainee's. Breaks off at a pending signal; then its numbers
  // are those of a part, and the caller throws them away.
  StepStats run(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference, bool learn);

 private:
  double step_weight(const Dataset& data, std::span<const int64_t> groups) const;
  void micro_batch(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference, bool learn,
                   double weight_sum, StepStats& stats);
  void sft(bool learn, double weight_sum, StepStats& stats);
  void dpo(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference, bool learn,
           double weight_sum, StepStats& stats);
  void dpo_loss(const Dataset& data, std::span<const int64_t> groups, const std::vector<double>& reference,
                double weight_sum, StepStats& stats);

  Trainee trainee_;
  const Job& job_;
  int64_t micro_batch_tokens_;
  PackedBatch batch_;
  std::vector<const GroupView*> views_;
  std::vector<float> logps_, coef_;  // [rows]
};

// Sum of the rows' log-probabilities of each completion of the batch.
std::vector<double> sequence_logps(const PackedBatch& batch, const std::vector<float>& row_logps);

// Runs f(batch) over all groups in micro-batches of at most tokens_max, in order.
void for_micro_batches(std::span<const GroupView* const> groups, int64_t tokens_max,
                       const std::function<void(const PackedBatch&)>& f);

}  // namespace concord
