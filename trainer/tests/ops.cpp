// Every op against its definition, and its gradient against central differences.
#include <numeric>

#include "check.h"
#include "lora/lora.h"
#include "numeric.h"

using namespace concord;

namespace {

constexpr int64_t kTokens = 7, kHidden = 6;

// One group: a prompt of 3 tokens and two completions of 2; and a text of 4 tokens without a prompt.
const std::vector<AttentionSegment> kSegments = {{0, 3, 0, 0}, {3, 5, 0, 3}, {5, 7, 0, 3}, {7, 11, 0, 0}};
const std::vector<AttentionGroup> kGroups = {{0, 3}, {3, 4}};
constexpr int64_t kRows = 11;

bool sees(int64_t query, int64_t key) {
  for (const auto& s : kSegments) {
    if (query < s.begin || query >= s.end) continue;
    return (key >= s.prefix_begin && key < s.prefix_end) || (key >= s.begin && key <= query);
  }
  return false;
}

}  // namespace

TEST("products are the sums they stand for, in float and double") {
  Cpu cpu;
  Numbers numbers;
  for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {5, 7, 3}, {130, 65, 33}, {3, 300, 128}}) {
    std::vector<double> x = numbers.vector(m * k), w = numbers.vector(n * k), y(m * n, 0.5);
    std::vector<float> xf(x.begin(), x.end()), wf(w.begin(), w.end()), yf(m * n, 0.5f);
    ops::matmul_nt<double>(cpu, 2.0, matrix(x, k), matrix(w, k), 1.0, matrix(y, n));
    ops::matmul_nt<float>(cpu, 2.0f, Mat<const float>(xf.data(), m, k), Mat<const float>(wf.data(), n, k), 1.0f, Mat<float>(yf.data(), m, n));
    std::vector<double> back(m * k), tn(n * k, 1.0);
    ops::matmul_nn<double>(cpu, 1.0, matrix(y, n), matrix(w, k), 0.0, matrix(back, k));
    ops::matmul_tn<double>(cpu, 1.0, matrix(y, n), matrix(x, k), 1.0, matrix(tn, k));
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = 0; j < n; j++) {
        double sum = 0.5;
        for (int64_t l = 0; l < k; l++) sum += 2 * x[i * k + l] * w[j * k + l];
        CHECK_NEAR(y[i * n + j], sum, 1e-12 * static_cast<double>(k));
        CHECK_NEAR(yf[i * n + j], sum, 1e-5 * static_cast<double>(k));
      }
      for (int64_t l = 0; l < k; l++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += y[i * n + j] * w[j * k + l];
        CHECK_NEAR(back[i * k + l], sum, 1e-11 * static_cast<double>(n));
      }
    }
    for (int64_t j = 0; j < n; j++) {
      for (int64_t l = 0; l < k; l++) {
        double sum = 1;
        for (int64_t i = 0; i < m; i++) sum += y[i * n + j] * x[i * k + l];
        CHECK_NEAR(tn[j * k + l], sum, 1e-11 * static_cast<double>(m));
      }
    }
  }
}

TEST("of few rows, each gives the same bytes whatever rows stand beside it and however many threads there are") {
  Numbers numbers;
  const int64_t n = 37, k = 83;
  const std::vector<double> x64 = numbers.vector(ops::kFewRows * k), w64 = numbers.vector(n * k);
  const std::vector<float> x(x64.begin(), x64.end()), w(w64.begin(), w64.end());
  const auto product = [&](int64_t first, int64_t rows, int threads) {
    Cpu cpu(threads);
    std::vector<float> y(rows * n);
    ops::matmul_nt<float>(cpu, 1.0f, Mat<const float>(x.data() + first * k, rows, k), Mat<const float>(w.data(), n, k), 0.0f, Mat<float>(y.data(), rows, n));
    return y;
  };
  const std::vector<float> all = product(0, ops::kFewRows, 2);
  for (int64_t rows = 1; rows <= ops::kFewRows; rows++) {
    for (int64_t first = 0; first + rows <= ops::kFewRows; first += 5) {
      const std::vector<float> some = product(first, rows, 1 + static_cast<int>(rows % 3));
      CHECK(std::equal(some.begin(), some.end(), all.begin() + first * n));
    }
  }
}

TEST("rms_norm") {
  Cpu cpu;
  Numbers numbers;
  std::vector<double> x = numbers.vector(kTokens * kHidden), w = numbers.vector(kHidden), out = numbers.vector(kTokens * kHidden);
  std::vector<double> y(x.size()), rstd(kTokens), dx(x.size(), 0.0), dw(kHidden, 0.0);
  const auto forward = [&] {
    ops::rms_norm<double>(cpu, matrix(x, kHidden), w.data(), 1e-3, matrix(y, kHidden), rstd.data());
    return weighted_sum(y, out);
  };
  forward();
  double square = 0;
  for (int64_t i = 0; i < kHidden; i++) square += x[i] * x[i];
  CHECK_NEAR(y[1], x[1] / std::sqrt(square / kHidden + 1e-3) * w[1], 1e-12);
  ops::rms_norm_backward<double>(cpu, matrix(x, kHidden), w.data(), rstd.data(), matrix(out, kHidden), matrix(dx, kHidden), dw.data());
  check_gradient("rms_norm dx", x, dx, forward);
  check_gradient("rms_norm dw", w, dw, forward);

  std::vector<double> delta = numbers.vector(x.size()), sum(x.size()), z(x.size());
  ops::add_rms_norm<double>(cpu, matrix(x, kHidden), matrix(delta, kHidden), matrix(sum, kHidden), w.data(), 1e-3, matrix(z, kHidden), rstd.data());
  for (size_t i = 0; i < x.size(); i++) x[i] += delta[i];
  forward();
  for (size_t i = 0; i < x.size(); i++) CHECK_NEAR(z[i], y[i], 1e-12);
}

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

TEST("attention sees its prompt and, causally, itself; grouped queries") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{4, 2, 3};
  const int64_t cols = shape.qkv_cols(), out_cols = shape.q_cols();
  const double scale = 0.7;
  std::vector<double> qkv = numbers.vector(kRows * cols), weights = numbers.vector(kRows * out_cols);
  std::vector<double> out(kRows * out_cols), lse(kRows * shape.heads), scratch(cpu.threads() * ops::attention_scratch_elements(5));
  const auto forward = [&] {
    ops::attention<double>(cpu, matrix(qkv, cols), shape, scale, kSegments, kGroups, matrix(out, out_cols), matrix(lse, shape.heads),
                           matrix(scratch, ops::attention_scratch_elements(5)));
    return weighted_sum(out, weights);
  };
  forward();
  for (int64_t t = 0; t < kRows; t++) {
    for (int64_t h = 0; h < shape.heads; h++) {
      const double* q = &qkv[t * cols + h * 3];
      double total = 0, value = 0;
      for (int64_t key = 0; key < kRows; key++) {
        if (!sees(t, key)) continue;
        const double* k = &qkv[key * cols + shape.q_cols() + h / 2 * 3];
        const double p = std::exp(scale * (q[0] * k[0] + q[1] * k[1] + q[2] * k[2]));
        total += p;
        value += p * k[shape.kv_cols()];
      }
      CHECK_NEAR(out[t * out_cols + h * 3], value / total, 1e-12);
      CHECK_NEAR(lse[t * shape.heads + h], std::log(total), 1e-12);
    }
  }
  std::vector<double> dqkv(qkv.size());
  ops::attention_backward<double>(cpu, matrix(qkv, cols), shape, scale, kSegments, kGroups, matrix(out, out_cols), matrix(lse, shape.heads),
                                  matrix(weights, out_cols), matrix(dqkv, cols), matrix(scratch, ops::attention_scratch_elements(5)));
  check_gradient("attention", qkv, dqkv, forward);
}

TEST("cached attention is attention's last row") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{4, 2, 3};
  const int64_t cols = shape.qkv_cols(), out_cols = shape.q_cols(), kv = 2 * shape.kv_cols();
  std::vector<double> qkv = numbers.vector(kRows * cols), out(kRows * out_cols), lse(kRows * shape.heads);
  std::vector<double> scratch(cpu.threads() * ops::attention_scratch_elements(5));
  ops::attention<double>(cpu, matrix(qkv, cols), shape, 0.5, kSegments, kGroups, matrix(out, out_cols), matrix(lse, shape.heads),
                         matrix(scratch, ops::attention_scratch_elements(5)));
  std::vector<double> prompt, own, queries, got(2 * out_cols);
  for (int64_t t = 0; t < 7; t++) {
    auto& cache = t < 3 ? prompt : own;
    cache.insert(cache.end(), &qkv[t * cols + shape.q_cols()], &qkv[t * cols + shape.q_cols()] + kv);
  }
  for (const int64_t t : {4, 6}) queries.insert(queries.end(), &qkv[t * cols], &qkv[t * cols] + cols);
  const std::vector<CachedSegment> segments = {{0, 3, 0, 2}, {0, 3, 2, 4}};
  ops::cached_attention<double>(cpu, matrix(queries, cols), shape, 0.5, matrix(prompt, kv), matrix(own, kv), segments, matrix(got, out_cols));
  for (int64_t i = 0; i < out_cols; i++) {
    CHECK_NEAR(got[i], out[4 * out_cols + i], 1e-12);
    CHECK_NEAR(got[out_cols + i], out[6 * out_cols + i], 1e-12);
  }
}

TEST("swiglu") {
  Cpu cpu;
  Numbers numbers;
  std::vector<double> gate_up = numbers.vector(kTokens * 2 * kHidden, 3), weights = numbers.vector(kTokens * kHidden), act(weights.size());
  const auto forward = [&] {
    ops::swiglu<double>(cpu, matrix(gate_up, 2 * kHidden), matrix(act, kHidden));
    return weighted_sum(act, weights);
  };
  forward();
  CHECK_NEAR(act[2], gate_up[2] / (1 + std::exp(-gate_up[2])) * gate_up[kHidden + 2], 1e-12);
  std::vector<double> gradient = gate_up;
  ops::swiglu_backward<double>(cpu, matrix(weights, kHidden), matrix(gradient, 2 * kHidden));
  check_gradient("swiglu", gate_up, gradient, forward);
}

TEST("target_logps, with logits far from zero") {
  Cpu cpu;
  Numbers numbers;
  const std::vector<int32_t> targets = {3, 0, 8, 8};
  std::vector<double> logits = numbers.vector(4 * 9, 4), coef = numbers.vector(4), logp(4), again(4);
  for (int i = 0; i < 9; i++) logits[i] += 700;
  const auto forward = [&] {
    ops::target_logps<double>(cpu, matrix(logits, 9), targets.data(), logp.data());
    return weighted_sum(logp, coef);
  };
  forward();
  std::vector<double> gradient = logits;
  ops::target_logps_and_gradient<double>(cpu, matrix(gradient, 9), targets.data(), coef.data(), again.data());
  for (int i = 0; i < 4; i++) CHECK_NEAR(again[i], logp[i], 1e-12);
  check_gradient("target_logps", logits, gradient, forward);
}

TEST("rows: embedding, gather and scatter are each other's transpose") {
  Cpu cpu;
  Numbers numbers;
  const std::vector<int32_t> rows = {2, 0, 2, 4};
  std::vector<double> table = numbers.vector(5 * 3), picked(4 * 3), weights = numbers.vector(4 * 3), gradient(5 * 3, 0.0), scattered(5 * 3, 0.0);
  const auto forward = [&] {
    ops::embedding<double>(cpu, matrix(table, 3), rows.data(), matrix(picked, 3));
    return weighted_sum(picked, weights);
  };
  forward();
  ops::embedding_backward<double>(cpu, matrix(weights, 3), rows.data(), matrix(gradient, 3));
  check_gradient("embedding", table, gradient, forward);
  forward();
  std::vector<double> gathered(4 * 3);
  ops::gather_rows<double>(cpu, matrix(table, 3), rows.data(), matrix(gathered, 3));
  CHECK(gathered == picked);
  ops::scatter_add_rows<double>(cpu, matrix(weights, 3), rows.data(), matrix(scattered, 3));
  CHECK(scattered == gradient);
}

TEST("any number of threads gives the same bytes") {
  Numbers numbers;
  const std::vector<double> wide = numbers.vector(200 * 96), tall = numbers.vector(150 * 96);
  const std::vector<float> x(wide.begin(), wide.end()), w(tall.begin(), tall.end());
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3, 7}) {
    Cpu cpu(threads);
    std::vector<float> y(200 * 150), dw(150 * 96, 0.0f);
    ops::matmul_nt<float>(cpu, 1.0f, Mat<const float>(x.data(), 200, 96), Mat<const float>(w.data(), 150, 96), 0.0f, Mat<float>(y.data(), 200, 150));
    ops::matmul_tn<float>(cpu, 1.0f, Mat<const float>(y.data(), 200, 150), Mat<const float>(x.data(), 200, 96), 0.0f, Mat<float>(dw.data(), 150, 96));
    results.push_back(dw);
    CHECK(results.front() == dw);
  }
}
