#include "run/sampling.h"

#include <algorithm>
#include <cmath>

namespace concord {

int32_t Sampler::pick(std::span<float> logits, std::span<const int32_t> seen, double uniform) {
  penalize(logits, seen);
  if (options_.temperature == 0) return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  gather(logits);
  truncate();
  double total = 0;
  for (const Candidate& c : candidates_) total += c.probability;
  double left = uniform * total;
  for (const Candidate& c : candidates_) {
    left -= c.probability;
    if (left < 0) return c.id;
  }
  return candidates_.front().id;  // rounding left a remainder
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

// The top-k candidates, best first, with their probabilities at the temperature.
void Sampler::gather(std::span<const float> logits) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); i++) candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
  const auto better = [](const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; };
  const size_t k = options_.top_k > 0 ? std::min<size_t>(options_.top_k, candidates_.size()) : candidates_.size();
  std::partial_sort(candidates_.begin(), candidates_.begin() + k, candidates_.end(), better);
  candidates_.resize(k);
  double sum = 0;
  for (Candidate& c : candidates_) {
    c.probability = std::exp((static_cast<double>(c.logit) - candidates_.front().logit) / options_.temperature);
    sum += c.probability;
  }
  for (Candidate& c : candidates_) c.probability /= sum;
}

void Sampler::truncate() {
  if (options_.top_p < 1) {
    double before = 0;
    size_t kept = 0;
    while (kept < candidates_.size() && (kept == 0 || before < options_.top_p)) before += candidates_[kept++].probability;
    candidates_.resize(kept);
  }
  const double floor = options_.min_p * candidates_.front().probability;
  const auto end = std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& c) { return c.probability < floor; });
  candidates_.erase(end, candidates_.end());
}

}  // namespace concord
