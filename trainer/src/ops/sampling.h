// From logits to a token, as transformers' generate does: repetition penalty, temperature, top-k, top-p, min-p, in that order, each on
// what the one before left.
// defines: SamplingOptions, Draw, SeenToken
#pragma once

#include <cstdint>

namespace concord {

struct SamplingOptions {
  double temperature = 1;         // 0: greedy
  double top_p = 1;               // 1: off. Keeps the smallest set whose probability reaches top_p (Holtzman et al. 2020)
  int64_t top_k = 0;              // 0: off
  double min_p = 0;               // 0: off. Keeps what has min_p times the best's probability (Nguyen et al. 2024)
  double repetition_penalty = 1;  // 1: off. Divides positive logits of tokens seen, multiplies negative ones (Keskar et al. 2019)
};

// A token to be drawn from a row of logits.
struct Draw {
  int32_t row = 0;
  double uniform = 0;  // in [0, 1): decides
  SamplingOptions options;
};

// A token of a row's prompt or sample so far.
struct SeenToken {
  int32_t row = 0, id = 0;
  float penalty = 1;
};

}  // namespace concord
