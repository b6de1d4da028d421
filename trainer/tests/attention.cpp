// Rotation and attention against their definitions, their gradients against central differences.
#include "check.h"
#include "numeric.h"

using namespace concord;

namespace {

// One group: a prompt of 3 tokens and two completions of 2; and a text of 4 tokens without a prompt.
const std::vector<AttentionSegment> kSegments = {{0, 3, 0, 0}, {3, 5, 0, 3}, {5, 7, 0, 3}, {7, 11, 0, 0}};
constexpr int64_t kRows = 11;

// The group, and the text as one of its own.
AttentionLists lists() {
  AttentionLists all;
  all.add_group(std::span(kSegments).first(3));
  all.add_group(std::span(kSegments).last(1));
  return all;
}
const AttentionLists kLists = lists();

bool sees(int64_t query, int64_t key) {
  for (const auto& s : kSegments) {
    if (query < s.begin || query >= s.end) continue;
    return (key >= s.prefix_begin && key < s.prefix_end) || (key >= s.begin && key <= query);
  }
  return false;
}

}  // namespace

TEST("rope turns pairs of a half apart, and back") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{2, 1, 4};
  const int64_t cols = shape.qkv_cols();
  std::vector<double> qkv = numbers.vector(3 * cols), table(8 * 4);
  const std::vector<int32_t> positions = {0, 2, 7};
  for (int p = 0; p < 8; p++) {
    for (int i = 0; i < 2; i++) {
      const double angle = p * std::pow(10000.0, -i / 2.0);
      table[p * 4 + i] = std::cos(angle);
      table[p * 4 + 2 + i] = std::sin(angle);
    }
  }
  const std::vector<double> before = qkv;
  ops::rope<double>(cpu, matrix(qkv, cols), shape, positions.data(), matrix(table, 4), 1.0);
  const double c = table[2 * 4], s = table[2 * 4 + 2];
  CHECK_NEAR(qkv[cols], before[cols] * c - before[cols + 2] * s, 1e-12);
  CHECK_NEAR(qkv[cols + 2], before[cols + 2] * c + before[cols] * s, 1e-12);
  CHECK_EQ(qkv[cols + 12], before[cols + 12]);  // v stays
  ops::rope<double>(cpu, matrix(qkv, cols), shape, positions.data(), matrix(table, 4), -1.0);
  for (size_t i = 0; i < qkv.size(); i++) CHECK_NEAR(qkv[i], before[i], 1e-12);
}

TEST("rope turns the first elements of a head alone where the table is narrower") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{1, 1, 6};
  std::vector<double> qkv = numbers.vector(18), table = {0.6, 0.8, 0.8, 0.6};  // two cosines, two sines
  const std::vector<double> before = qkv;
  const int32_t position = 0;
  ops::rope<double>(cpu, matrix(qkv, 18), shape, &position, matrix(table, 4), 1.0);
  CHECK_NEAR(qkv[1], before[1] * 0.8 - before[3] * 0.6, 1e-12);
  CHECK_NEAR(qkv[3], before[3] * 0.8 + before[1] * 0.6, 1e-12);
  CHECK_EQ(qkv[4], before[4]);
  CHECK_EQ(qkv[11], before[11]);
}

namespace {

// Plain attention, capped scores, windows shorter than the text, and both; a window of 1 is a token's own value.
const std::vector<AttentionRule> kRules = {{0.7, 0, 0}, {0.7, 0.8, 0}, {0.7, 0, 3}, {0.7, 0.8, 2}, {0.7, 0, 1}};

double score_of(const AttentionRule& rule, double product) {
  const double score = rule.scale * product;
  return rule.softcap == 0 ? score : rule.softcap * std::tanh(score / rule.softcap);
}

// Position of a row in its sequence: kSegments' completions go on where their prompt ends.
int64_t position_of(int64_t row) { return row >= 7 ? row - 7 : row >= 5 ? row - 2 : row; }

}  // namespace

TEST("attention sees its prompt and, causally, itself; grouped queries, caps and windows") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{4, 2, 3};
  const int64_t cols = shape.qkv_cols(), out_cols = shape.q_cols();
  for (const AttentionRule& rule : kRules) {
    std::vector<double> qkv = numbers.vector(kRows * cols), weights = numbers.vector(kRows * out_cols);
    std::vector<double> out(kRows * out_cols), lse(kRows * shape.heads), scratch(cpu.threads() * ops::attention_scratch_elements(5));
    const auto forward = [&] {
      ops::attention<double>(cpu, matrix(qkv, cols), shape, rule, kLists.view(), matrix(out, out_cols), matrix(lse, shape.heads),
                             matrix(scratch, ops::attention_scratch_elements(5)));
      return weighted_sum(out, weights);
    };
    forward();
    for (int64_t t = 0; t < kRows; t++) {
      for (int64_t h = 0; h < shape.heads; h++) {
        const double* q = &qkv[t * cols + h * 3];
        double total = 0, value = 0;
        for (int64_t key = 0; key < kRows; key++) {
          if (!sees(t, key) || (rule.window > 0 && position_of(key) <= position_of(t) - rule.window)) continue;
          const double* k = &qkv[key * cols + shape.q_cols() + h / 2 * 3];
          const double p = std::exp(score_of(rule, q[0] * k[0] + q[1] * k[1] + q[2] * k[2]));
          total += p;
          value += p * k[shape.kv_cols()];
        }
        CHECK_NEAR(out[t * out_cols + h * 3], value / total, 1e-12);
        CHECK_NEAR(lse[t * shape.heads + h], std::log(total), 1e-12);
      }
    }
    std::vector<double> dqkv(qkv.size());
    ops::attention_backward<double>(cpu, matrix(qkv, cols), shape, rule, kLists.view(), matrix(out, out_cols), matrix(lse, shape.heads),
                                    matrix(weights, out_cols), matrix(dqkv, cols), matrix(scratch, ops::attention_scratch_elements(5)));
    check_gradient("attention", qkv, dqkv, forward);
  }
}

// Long enough for several blocks of queries, so that a window leaves out whole stretches of the prompt and of the text.
TEST("windows over many blocks: what naive attention gives, in float and double, and the gradient") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{1, 1, 2};
  const int64_t prompt = 150, own = 140, rows = prompt + own, window = 100;
  const std::vector<AttentionSegment> segments = {{0, prompt, 0, 0}, {prompt, rows, 0, prompt}};
  AttentionLists lists;
  lists.add_group(segments);
  const AttentionRule rule{0.9, 0, window};
  std::vector<double> qkv = numbers.vector(rows * 6), out(rows * 2), lse(rows), weights = numbers.vector(rows * 2), dqkv(qkv.size());
  std::vector<double> scratch(cpu.threads() * ops::attention_scratch_elements(rows));
  const Mat<double> scratch_rows = matrix(scratch, ops::attention_scratch_elements(rows));
  ops::attention<double>(cpu, matrix(qkv, 6), shape, rule, lists.view(), matrix(out, 2), matrix(lse, 1), scratch_rows);
  for (int64_t t = 0; t < rows; t++) {
    double total = 0, value = 0;
    for (int64_t key = std::max<int64_t>(0, t - window + 1); key <= t; key++) {
      const double p = std::exp(0.9 * (qkv[t * 6] * qkv[key * 6 + 2] + qkv[t * 6 + 1] * qkv[key * 6 + 3]));
      total += p;
      value += p * qkv[key * 6 + 4];
    }
    CHECK_NEAR(out[t * 2], value / total, 1e-12);
  }
  const std::vector<float> single(qkv.begin(), qkv.end());
  std::vector<float> out_single(out.size()), lse_single(lse.size()), scratch_single(scratch.size());
  ops::attention<float>(cpu, Mat<const float>(single.data(), rows, 6), shape, rule, lists.view(), Mat<float>(out_single.data(), rows, 2),
                        Mat<float>(lse_single.data(), rows, 1), Mat<float>(scratch_single.data(), cpu.threads(), scratch_rows.cols));
  for (size_t i = 0; i < out.size(); i++) CHECK_NEAR(out_single[i], out[i], 2e-6);
  ops::attention_backward<double>(cpu, matrix(qkv, 6), shape, rule, lists.view(), matrix(out, 2), matrix(lse, 1), matrix(weights, 2),
                                  matrix(dqkv, 6), scratch_rows);
  check_gradient("windows", qkv, dqkv, [&] {
    ops::attention<double>(cpu, matrix(qkv, 6), shape, rule, lists.view(), matrix(out, 2), matrix(lse, 1), scratch_rows);
    return weighted_sum(out, weights);
  });
}

TEST("cached attention is attention's last row, caps and windows too") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{4, 2, 3};
  const int64_t cols = shape.qkv_cols(), out_cols = shape.q_cols(), kv = 2 * shape.kv_cols();
  for (const AttentionRule& rule : kRules) {
    std::vector<double> qkv = numbers.vector(kRows * cols), out(kRows * out_cols), lse(kRows * shape.heads);
    std::vector<double> scratch(cpu.threads() * ops::attention_scratch_elements(5));
    ops::attention<double>(cpu, matrix(qkv, cols), shape, rule, kLists.view(), matrix(out, out_cols), matrix(lse, shape.heads),
                           matrix(scratch, ops::attention_scratch_elements(5)));
    std::vector<double> cache, queries, got(2 * out_cols);
    for (int64_t t = 0; t < 7; t++) cache.insert(cache.end(), &qkv[t * cols + shape.q_cols()], &qkv[t * cols + shape.q_cols()] + kv);
    for (const int64_t t : {4, 6}) queries.insert(queries.end(), &qkv[t * cols], &qkv[t * cols] + cols);
    CachedLists lists;
    lists.set(std::vector<CachedSegment>{{0, 3, 3, 5}, {0, 3, 5, 7}}, 2);
    ops::cached_attention<double>(cpu, matrix(queries, cols), shape, rule, matrix(cache, kv), lists.view(), matrix(got, out_cols), {});
    for (int64_t i = 0; i < out_cols; i++) {
      CHECK_NEAR(got[i], out[4 * out_cols + i], 1e-12);
      CHECK_NEAR(got[out_cols + i], out[6 * out_cols + i], 1e-12);
    }
  }
}
