// From logits to a token, as transformers' generate does: repetition penalty, temperature, top-k, top-p, min-p, in that
// order, each on what the one before left.
// defines: SamplingOptions, Sampler
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace concord {

struct SamplingOptions {
  double temperature = 1;         // 0: greedy
  double top_p = 1;               // 1: off. Keeps the smallest set whose probability reaches top_p (Holtzman et al. 2020)
  int64_t top_k = 0;              // 0: off
  double min_p = 0;               // 0: off. Keeps what has min_p times the best's probability (Nguyen et al. 2024)
  double repetition_penalty = 1;  // 1: off. Divides positive logits of tokens seen, multiplies negative ones (Keskar et al. 2019)
};

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options = {}) : options_(options) {}
  // The options of the picks that follow; the buffers stay.
  void set(const SamplingOptions& options) { options_ = options; }

  // `seen` are the ids of prompt and sample so far; `uniform` in [0, 1) decides. `logits` are changed. Of equal logits the
  // smaller id is the better one. -1: the logits hold NaN, or none of them is finite.
  int32_t pick(std::span<float> logits, std::span<const int32_t> seen, double uniform);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // probability over that of the best
  };
  static bool better(const Candidate& x, const Candidate& y) { return x.logit != y.logit ? x.logit > y.logit : x.id < y.id; }
  void penalize(std::span<float> logits, std::span<const int32_t> seen);
  void keep_top_k();
  void keep_top_p();
  double total_weight() const;

  SamplingOptions options_;
  std::vector<Candidate> candidates_;  // by id, or best first after keep_top_k or keep_top_p
  std::vector<int32_t> distinct_;
};

}  // namespace concord
