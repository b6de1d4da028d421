// Attention of the CUDA backend against the CPU's in double: every head size that has a kernel and one that has none, prompts with
// completions, texts, windows and caps, grouped heads. In bfloat16 the bound is the error of an evaluation that rounds scores and
// probabilities.
#include "twin.h"

using namespace twin;

namespace {

double to_bf16(double x) { return static_cast<double>(static_cast<float>(Bf16(static_cast<float>(x)))); }

// Two tiles of prompt, completions that are shorter and longer than a tile, and a text.
const std::vector<AttentionSegment> kPair = {{0, 70, 0, 0}, {70, 95, 0, 70}, {95, 175, 0, 70}}, kText = {{175, 226, 0, 0}};
constexpr int64_t kRows = 226;

AttentionLists lists() {
  AttentionLists all;
  all.add_group(kPair);
  all.add_group(kText);
  return all;
}
const AttentionLists kLists = lists();

struct Plain {
  std::vector<double> out, dqkv;
};

// One query row and head after another, rounding what a program of whole-matrix operations in bfloat16 would store.
Plain plain(Mat<const double> qkv, AttentionShape shape, AttentionRule rule, Mat<const double> dout) {
  Plain result{std::vector<double>(kRows * shape.q_cols()), std::vector<double>(kRows * shape.qkv_cols(), 0.0)};
  const Mat<double> out(result.out.data(), kRows, shape.q_cols()), d(result.dqkv.data(), kRows, shape.qkv_cols());
  const int64_t dim = shape.head_dim;
  const auto dot = [&](const double* a, const double* b) {
    double sum = 0;
    for (int64_t i = 0; i < dim; i++) sum += a[i] * b[i];
    return sum;
  };
  for (const AttentionTile& whole : kLists.view().tiles) {
    const AttentionTile tile = whole.in_window(rule.window);
    for (int64_t row = 0; row < tile.rows(); row++)
      for (int64_t head = 0; head < shape.heads; head++) {
        const int64_t t = tile.begin + row, q = head * dim, k = shape.q_cols() + head / (shape.heads / shape.kv_heads) * dim, v = k + shape.kv_cols();
        std::vector<double> p, slope, dp;
        double total = 0, along = 0;
        for (int64_t key = tile.first(row, rule.window); key < tile.visible(row); key++) {
          double s = to_bf16(to_bf16(dot(qkv.row(t) + q, qkv.row(tile.key_row(key)) + k)) * rule.scale);
          double tanh = 0;
          if (rule.softcap != 0) s = to_bf16(rule.softcap * (tanh = to_bf16(std::tanh(s / rule.softcap))));
          slope.push_back(rule.scale * (1 - tanh * tanh));
          p.push_back(std::exp(s));
          total += p.back();
          dp.push_back(to_bf16(dot(dout.row(t) + q, qkv.row(tile.key_row(key)) + v)));
        }
        for (double& x : p) x = to_bf16(x / total);
        for (size_t i = 0; i < p.size(); i++) along += p[i] * dp[i];
        for (size_t i = 0; i < p.size(); i++) {
          const int64_t at = tile.key_row(tile.first(row, rule.window) + static_cast<int64_t>(i));
          const double ds = to_bf16(to_bf16(p[i] * (dp[i] - along)) * slope[i]);
          for (int64_t c = 0; c < dim; c++) {
            out.row(t)[q + c] += p[i] * qkv.row(at)[v + c];
            d.row(t)[q + c] += ds * qkv.row(at)[k + c];
            d.row(at)[k + c] += ds * qkv.row(t)[q + c];
            d.row(at)[v + c] += p[i] * dout.row(t)[q + c];
          }
        }
      }
  }
  for (auto* values : {&result.out, &result.dqkv})
    for (double& x : *values) x = to_bf16(x);
  return result;
}

template <class T>
void compare(int64_t head_dim, int64_t heads, int64_t kv_heads, AttentionRule rule) {
  const AttentionShape shape{heads, kv_heads, head_dim};
  rule.scale = 1 / std::sqrt(static_cast<double>(head_dim));
  const std::string what = "heads of " + std::to_string(head_dim) + ", window " + std::to_string(rule.window) + ", cap " + std::to_string(rule.softcap);
  Twin<T> qkv(kRows, shape.qkv_cols(), 2), out(kRows, shape.q_cols()), dout(kRows, shape.q_cols()), dqkv(kRows, shape.qkv_cols());
  Twin<float> lse(kRows, heads), delta(kRows, heads);
  const AttentionView view = kLists.view();
  const auto copy = [](auto items) { return placed(std::vector(items.begin(), items.end())); };
  const auto tiles = copy(view.tiles);
  const auto key_tiles = copy(view.key_tiles);
  const auto readers = copy(view.readers);
  const AttentionView on_gpu{{tiles.data(), tiles.size()}, view.groups, {key_tiles.data(), key_tiles.size()}, {readers.data(), readers.size()}};
  std::vector<double> scratch_values(cpu().threads() * ops::attention_scratch_elements(150));
  const Mat<double> scratch(scratch_values.data(), cpu().threads(), ops::attention_scratch_elements(150));

  Plain rounded;
  if constexpr (std::is_same_v<T, Bf16>) rounded = plain(qkv.exact(), shape, rule, dout.exact());
  ops::attention<double>(cpu(), qkv.exact(), shape, rule, view, out.exact(), lse.exact(), scratch);
  ops::attention<T>(cuda(), qkv.gpu(), shape, rule, on_gpu, out.gpu(), lse.gpu(), delta.gpu());
  out.check("attention, " + what, kForward, rounded.out);
  lse.check("attention's lse, " + what, kForward);
  ops::attention_backward<double>(cpu(), qkv.exact(), shape, rule, view, out.exact(), lse.exact(), dout.exact(), dqkv.exact(), scratch);
  ops::attention_backward<T>(cuda(), qkv.gpu(), shape, rule, on_gpu, out.gpu(), lse.gpu(), dout.gpu(), dqkv.gpu(), delta.gpu());
  dqkv.check("attention_backward, " + what, kBackward, rounded.dqkv);
  // Each gradient has one writer that adds in a fixed order.
  const std::vector<double> once = dqkv.fetched();
  ops::attention_backward<T>(cuda(), qkv.gpu(), shape, rule, on_gpu, out.gpu(), lse.gpu(), dout.gpu(), dqkv.gpu(), delta.gpu());
  CHECK(dqkv.fetched() == once);
}

}  // namespace

TEST("attention by tensor cores: heads of 64, 96, 128 and 256") {
  for (const int64_t head_dim : {64, 96, 128, 256}) compare<Bf16>(head_dim, 2, 1, {});
}

TEST("attention by tensor cores: a cap, a window, both, and a window of a token's own value") {
  for (const AttentionRule& rule : std::vector<AttentionRule>{{1, 3, 0}, {1, 0, 40}, {1, 3, 90}, {1, 0, 1}}) compare<Bf16>(64, 2, 2, rule);
}

TEST("attention for any head size, in bfloat16 and float") {
  for (const AttentionRule& rule : std::vector<AttentionRule>{{}, {1, 3, 40}}) {
    compare<Bf16>(24, 4, 2, rule);
    compare<float>(24, 4, 2, rule);
    compare<float>(64, 2, 1, rule);
  }
}
