#include "run/sampling.h"

#include <algorithm>
#include <cmath>

namespace concord {
namespace {

// Index of the largest; of equal ones the first. -1 where one is NaN or the largest is not finite.
int32_t best_of(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); i++) {
    if (std::isnan(logits[i])) return -1;
    if (logits[i] > logits[best]) best = i;
  }
  return std::isfinite(logits[best]) ? static_cast<int32_t>(best) : -1;
}

}  // namespace

int32_t Sampler::pick(std::span<float> logits, std::span<const int32_t> seen, double uniform) {
  penalize(logits, seen);
  const int32_t best = best_of(logits);
  if (options_.temperature == 0 || best < 0) return best;
  candidates_.clear();
  const double top = logits[best];
  for (size_t i = 0; i < logits.size(); i++)
    candidates_.push_back({static_cast<int32_t>(i), logits[i], std::exp((logits[i] - top) / options_.temperature)});
  keep_top_k();
  keep_top_p();
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options_.min_p; });
  double left = uniform * total_weight();
  int32_t chosen = best;  // where rounding leaves a remainder: the last that has any probability
  for (const Candidate& c : candidates_) {
    if (c.weight > 0) chosen = c.id;
    left -= c.weight;
    if (left < 0) break;
  }
  return chosen;
}

// Once for each id, however often it was seen.
void Sampler::penalize(std::span<float> logits, std::span<const int32_t> seen) {
  if (options_.repetition_penalty == 1) return;
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  distinct_.assign(seen.begin(), seen.end());
  std::sort(distinct_.begin(), distinct_.end());
  distinct_.erase(std::unique(distinct_.begin(), distinct_.end()), distinct_.end());
  for (const int32_t id : distinct_) logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
}

void Sampler::keep_top_k() {
  const auto k = static_cast<size_t>(options_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::partial_sort(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(), better);
  candidates_.resize(k);
}

void Sampler::keep_top_p() {
  if (options_.top_p >= 1) return;
  const double total = total_weight();
  // Candidates below an equal share of 1 - top_p hold less than 1 - top_p together, so the set is full before it reaches
  // them. Left out first, they need no sorting: of a large vocabulary few remain. (1 - 1e-9: sums round.)
  const double share = (1 - options_.top_p) * total / static_cast<double>(candidates_.size()) * (1 - 1e-9);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < share; });
  std::sort(candidates_.begin(), candidates_.end(), better);
  double before = 0;
  size_t kept = 0;
  while (kept < candidates_.size() && (kept == 0 || before < options_.top_p * total)) before += candidates_[kept++].weight;
  candidates_.resize(kept);
}

double Sampler::total_weight() const {
  double total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  return total;
}

}  // namespace concord
