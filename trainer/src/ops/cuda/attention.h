// What the attention kernels share: where a head's numbers lie, and how a product of query and key becomes a score.
#pragma once

#include "ops/cuda/kernel.h"

namespace concord::ops {

// Columns of one query head and of the key-value head it reads in packed qkv rows [T, (heads + 2 kv_heads) head_dim].
struct HeadColumns {
  int64_t q, k, v;
  __device__ HeadColumns(const AttentionShape& shape, int64_t head) {
    const int64_t kv = head / (shape.heads / shape.kv_heads);
    q = head * shape.head_dim;
    k = shape.q_cols() + kv * shape.head_dim;
    v = k + shape.kv_cols();
  }
};

struct Scores {
  float scale, cap, inverse_cap;  // cap 0: none
  int64_t window;

  explicit Scores(const AttentionRule& rule)
      : scale(static_cast<float>(rule.scale)),
        cap(static_cast<float>(rule.softcap)),
        inverse_cap(rule.softcap == 0 ? 0 : 1 / cap),
        window(rule.window) {}

  __device__ float score(float product) const {
    const float s = scale * product;
    return cap == 0 ? s : cap * tanhf(s * inverse_cap);
  }
  // d score / d product, given the score: scale, times 1 - tanh^2 where there is a cap.
  __device__ float derivative(float score) const {
    const float t = score * inverse_cap;  // 0 without a cap
    return scale * (1 - t * t);
  }
};

// By tensor cores, for bfloat16 and head sizes 64, 96, 128 and 256. False where there is no such kernel.
bool attention_mma(Cuda&, Mat<const Bf16> qkv, AttentionShape, AttentionRule, const AttentionView&, Mat<Bf16> out, Mat<float> lse);
bool attention_backward_mma(Cuda&, Mat<const Bf16> qkv, AttentionShape, AttentionRule, const AttentionView&, Mat<const Bf16> out,
                            Mat<const float> lse, Mat<const Bf16> dout, Mat<Bf16> dqkv, Mat<float> delta);
// Over a cache; `scratch` holds what the parts find.
bool cached_attention_mma(Cuda&, Mat<const Bf16> qkv, AttentionShape, AttentionRule, Mat<const Bf16> cache, const CachedView&, Mat<Bf16> out,
                          Mat<float> scratch);

}  // namespace concord::ops
