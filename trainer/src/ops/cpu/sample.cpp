// From logits to a token (ops/sampling.h).
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/ops.h"

namespace concord::ops {
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

// A worker's, whose buffers stay.
class Sampler {
 public:
  int32_t pick(std::span<const float> logits, const SamplingOptions& options, double uniform);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // probability over that of the best
  };
  static bool better(const Candidate& x, const Candidate& y) { return x.logit != y.logit ? x.logit > y.logit : x.id < y.id; }
  void keep_top_k(int64_t top_k);
  void keep_top_p(double top_p);
  double total_weight() const;

  std::vector<Candidate> candidates_;  // by id, or best first after keep_top_k or keep_top_p
};

int32_t Sampler::pick(std::span<const float> logits, const SamplingOptions& options, double uniform) {
  const int32_t best = best_of(logits);
  if (options.temperature == 0 || best < 0) return best;
  candidates_.clear();
  const double top = logits[best];
  for (size_t i = 0; i < logits.size(); i++)
    candidates_.push_back({static_cast<int32_t>(i), logits[i], std::exp((logits[i] - top) / options.temperature)});
  keep_top_k(options.top_k);
  keep_top_p(options.top_p);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options.min_p; });
  double left = uniform * total_weight();
  int32_t chosen = best;  // where rounding leaves a remainder: the last that has any probability
  for (const Candidate& c : candidates_) {
    if (c.weight > 0) chosen = c.id;
    left -= c.weight;
    if (left < 0) break;
  }
  return chosen;
}

void Sampler::keep_top_k(int64_t top_k) {
  const auto k = static_cast<size_t>(top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::partial_sort(candidates_.begin(), candidates_.begin() + top_k, candidates_.end(), better);
  candidates_.resize(k);
}

void Sampler::keep_top_p(double top_p) {
  if (top_p >= 1) return;
  const double total = total_weight();
  // Candidates below an equal share of 1 - top_p hold less than 1 - top_p together, so the set is full before it reaches
  // them. Left out first, they need no sorting: of a large vocabulary few remain. (1 - 1e-9: sums round.)
  const double share = (1 - top_p) * total / static_cast<double>(candidates_.size()) * (1 - 1e-9);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < share; });
  std::sort(candidates_.begin(), candidates_.end(), better);
  double before = 0;
  size_t kept = 0;
  while (kept < candidates_.size() && (kept == 0 || before < top_p * total)) before += candidates_[kept++].weight;
  candidates_.resize(kept);
}

double Sampler::total_weight() const {
  double total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  return total;
}

}  // namespace

void penalize(Cpu&, std::span<const SeenToken> seen, Mat<float> logits) {
  for (const SeenToken& s : seen) {
    float& logit = logits.row(s.row)[s.id];
    logit = logit > 0 ? logit / s.penalty : logit * s.penalty;
  }
}

void sample(Cpu& cpu, Mat<const float> logits, std::span<const Draw> draws, int32_t* tokens) {
  cpu.for_each(static_cast<int64_t>(draws.size()), [&](int64_t i, int) {
    thread_local Sampler sampler;
    const Draw& draw = draws[i];
    tokens[i] = sampler.pick({logits.row(draw.row), static_cast<size_t>(logits.cols)}, draw.options, draw.uniform);
  });
}

}  // namespace concord::ops
