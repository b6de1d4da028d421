// Attention over a cache on the CUDA backend against the CPU's in double: samples that share a prompt, tokens of a prompt on its way, a row
// alone; sequences in one part and in several, windows that cut parts off, caps. In bfloat16 the bound is the error of an evaluation that rounds
// scores and probabilities.
#include "twin.h"

using namespace twin;

namespace {

double to_bf16(double x) { return static_cast<double>(static_cast<float>(Bf16(static_cast<float>(x)))); }

// Rows of the cache: a prompt of 300 whose three samples have 1, 20 and 290 rows; a prompt of 40 on its way; a sequence of one.
constexpr int64_t kCacheRows = 660;
const std::vector<CachedSegment> kSegments = {{0, 300, 300, 301}, {0, 300, 305, 325}, {0, 300, 330, 620}, {620, 637, 0, 0}, {620, 638, 0, 0}, {620, 639, 0, 0}, {659, 660, 0, 0}};
const auto kRows = static_cast<int64_t>(kSegments.size());

// One query and head after another, rounding what a program of whole-matrix operations in bfloat16 would store.
std::vector<double> plain(Mat<const double> qkv, AttentionShape shape, AttentionRule rule, Mat<const double> cache) {
  std::vector<double> out(kRows * shape.q_cols());
  const int64_t dim = shape.head_dim;
  for (int64_t t = 0; t < kRows; t++)
    for (int64_t head = 0; head < shape.heads; head++) {
      const CachedSegment& segment = kSegments[t];
      const int64_t k = head / (shape.heads / shape.kv_heads) * dim, v = k + shape.kv_cols();
      const double* q = qkv.row(t) + head * dim;
      double* to = &out[t * shape.q_cols() + head * dim];
      std::vector<double> p;
      double total = 0;
      for (int64_t key = segment.first(rule.window); key < segment.keys(); key++) {
        double product = 0;
        for (int64_t i = 0; i < dim; i++) product += q[i] * cache.row(segment.key_row(key))[k + i];
        double s = to_bf16(to_bf16(product) * rule.scale);
        if (rule.softcap != 0) s = to_bf16(rule.softcap * to_bf16(std::tanh(s / rule.softcap)));
        total += p.emplace_back(std::exp(s));
      }
      for (size_t n = 0; n < p.size(); n++)
        for (int64_t i = 0; i < dim; i++) to[i] += to_bf16(p[n] / total) * cache.row(segment.key_row(segment.first(rule.window) + static_cast<int64_t>(n)))[v + i];
    }
  for (double& x : out) x = to_bf16(x);
  return out;
}

template <class T>
void compare(int64_t head_dim, int64_t heads, int64_t kv_heads, AttentionRule rule) {
  const AttentionShape shape{heads, kv_heads, head_dim};
  rule.scale = 1 / std::sqrt(static_cast<double>(head_dim));
  Twin<T> qkv(kRows, shape.qkv_cols(), 2), cache(kCacheRows, 2 * shape.kv_cols(), 2), out(kRows, shape.q_cols());
  CachedLists lists;
  lists.set(kSegments, heads / kv_heads);
  const CachedView view = lists.view();
  const auto copy = [](auto items) { return placed(std::vector(items.begin(), items.end())); };
  const auto segments = copy(view.segments);
  const auto tiles = copy(view.tiles);
  const auto parts = copy(view.parts);
  const CachedView on_gpu{{segments.data(), segments.size()}, {tiles.data(), tiles.size()}, {parts.data(), parts.size()}};
  Twin<float> scratch(lists.n_parts() * heads, head_dim + 1);
  std::vector<double> rounded;
  if constexpr (std::is_same_v<T, Bf16>) rounded = plain(qkv.exact(), shape, rule, cache.exact());
  ops::cached_attention<double>(cpu(), qkv.exact(), shape, rule, cache.exact(), view, out.exact(), {});
  ops::cached_attention<T>(cuda(), qkv.gpu(), shape, rule, cache.gpu(), on_gpu, out.gpu(), scratch.gpu());
  out.check("cached_attention, heads of " + std::to_string(head_dim) + ", window " + std::to_string(rule.window) + ", cap " + std::to_string(rule.softcap),
            kForward, rounded);
}

}  // namespace

TEST("by tensor cores: heads of 64, 96, 128 and 256") {
  for (const int64_t head_dim : {64, 96, 128, 256}) compare<Bf16>(head_dim, 2, 1, {});
}

TEST("by tensor cores: a cap, windows, one of a token's own value; many heads to one, and one to one") {
  for (const AttentionRule& rule : std::vector<AttentionRule>{{1, 3, 0}, {1, 0, 40}, {1, 3, 290}, {1, 0, 1}}) compare<Bf16>(64, 2, 2, rule);
  compare<Bf16>(64, 32, 1, {});
  compare<Bf16>(64, 65, 1, {});  // more than a tile has room for
}

TEST("for any head size, in bfloat16 and float") {
  for (const AttentionRule& rule : std::vector<AttentionRule>{{}, {1, 3, 40}}) {
    compare<Bf16>(24, 4, 2, rule);
    compare<float>(24, 4, 2, rule);
    compare<float>(64, 2, 1, rule);
  }
}
