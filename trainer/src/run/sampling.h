// From logits to a token, as transformers' generate does: repetition penalty, temperature, top-k, top-p, min-p, in that
// order, each on what the one before left.
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
  explicit Sampler(const SamplingOptions& options) : options_(options) {}

  // `seen` are the ids of prompt and sample so far; `uniform` in [0, 1) decides. `logits` are changed. Equal logits: the
  // smaller id is the better one.
  int32_t pick(std::span<float> logits, std::span<const int32_t> seen, double uniform);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double probability;
  };
  void penalize(std::span<float> logits, std::span<const int32_t> seen);
  void gather(std::span<const float> logits);
  void truncate();

  SamplingOptions options_;
  std::vector<Candidate> candidates_;  // best first
  std::vector<int32_t> distinct_;
};

}  // namespace concord
