// Every op against its definition, and its gradient against central differences.
#include <numeric>

#include "check.h"
#include "lora/lora.h"
#include "numeric.h"
#include "ops/cpu/simd.h"

using namespace concord;

namespace {

constexpr int64_t kTokens = 7, kHidden = 6;

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
  const RmsNorm<double> norm{w.data(), 1, 1e-3};
  const auto forward = [&] {
    ops::rms_norm<double>(cpu, matrix(x, kHidden), norm, matrix(y, kHidden), rstd.data());
    return weighted_sum(y, out);
  };
  forward();
  double square = 0;
  for (int64_t i = 0; i < kHidden; i++) square += x[i] * x[i];
  CHECK_NEAR(y[1], x[1] / std::sqrt(square / kHidden + 1e-3) * (1 + w[1]), 1e-12);
  ops::rms_norm_backward<double>(cpu, matrix(x, kHidden), norm, rstd.data(), matrix(out, kHidden), matrix(dx, kHidden), dw.data());
  check_gradient("rms_norm dx", x, dx, forward);
  check_gradient("rms_norm dw", w, dw, forward);

  std::vector<double> delta = numbers.vector(x.size()), sum(x.size()), z(x.size());
  ops::add_rms_norm<double>(cpu, matrix(x, kHidden), matrix(delta, kHidden), matrix(sum, kHidden), norm, matrix(z, kHidden), rstd.data());
  for (size_t i = 0; i < x.size(); i++) x[i] += delta[i];
  forward();
  for (size_t i = 0; i < x.size(); i++) CHECK_NEAR(z[i], y[i], 1e-12);
}

TEST("head_norms: every head's query and key over its own elements, v left, and their gradients") {
  Cpu cpu;
  Numbers numbers;
  const AttentionShape shape{4, 2, 3};
  const int64_t cols = shape.qkv_cols(), normed = shape.q_cols() + shape.kv_cols(), heads = 6;
  std::vector<double> qkv = numbers.vector(kTokens * cols), wq = numbers.vector(3), wk = numbers.vector(3), weights = numbers.vector(kTokens * cols);
  std::vector<double> y, raw(kTokens * normed), rstd(kTokens * heads);
  const RmsNorm<double> query{wq.data(), 1, 1e-3}, key{wk.data(), 1, 1e-3};
  const auto forward = [&] {
    y = qkv;
    ops::head_norms<double>(cpu, matrix(y, cols), shape, query, key, matrix(raw, normed), matrix(rstd, heads));
    return weighted_sum(y, weights);
  };
  forward();
  const double* k = &qkv[cols + shape.q_cols() + 3];  // the second key of token 1
  CHECK_NEAR(y[cols + shape.q_cols() + 4], k[1] / std::sqrt((k[0] * k[0] + k[1] * k[1] + k[2] * k[2]) / 3 + 1e-3) * (1 + wk[1]), 1e-12);
  CHECK_EQ(y[cols + normed], qkv[cols + normed]);
  std::vector<double> dqkv = weights, dwq(3, 0.0), dwk(3, 0.0);
  ops::head_norms_backward<double>(cpu, matrix(raw, normed), shape, query, key, matrix(rstd, heads), matrix(dqkv, cols), dwq.data(), dwk.data());
  check_gradient("head_norms dqkv", qkv, dqkv, forward);
  check_gradient("head_norms dquery", wq, dwq, forward);
  check_gradient("head_norms dkey", wk, dwk, forward);
}

TEST("gated activations: silu and gelu's tanh form") {
  Cpu cpu;
  Numbers numbers;
  std::vector<double> gate_up = numbers.vector(kTokens * 2 * kHidden, 3), weights = numbers.vector(kTokens * kHidden), act(weights.size());
  for (const Activation f : {Activation::silu, Activation::gelu_tanh}) {
    const auto forward = [&] {
      ops::gated_activation<double>(cpu, f, matrix(gate_up, 2 * kHidden), matrix(act, kHidden));
      return weighted_sum(act, weights);
    };
    forward();
    const double x = gate_up[2];
    const double want = f == Activation::silu ? x / (1 + std::exp(-x)) : x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    CHECK_NEAR(act[2], want * gate_up[kHidden + 2], 1e-12);
    std::vector<double> gradient = gate_up;
    ops::gated_activation_backward<double>(cpu, f, matrix(weights, kHidden), matrix(gradient, 2 * kHidden));
    check_gradient("gated activation", gate_up, gradient, forward);
  }
}

TEST("float's tanh is within three units of the last place, and caps keep far values finite") {
  for (float x = -12; x < 12; x += 0.00371f) CHECK_NEAR(fast_tanh(x), std::tanh(double(x)), 2e-7 * std::abs(std::tanh(double(x))) + 1e-12);
  Cpu cpu;
  std::vector<float> far = {1e30f, -1e30f, 0};
  ops::soft_cap<float>(cpu, 30.0f, Mat<float>(far.data(), 1, 3));
  CHECK_EQ(far[0], 30.0f);
  CHECK_EQ(far[1], -30.0f);
  CHECK_EQ(far[2], 0.0f);
}

TEST("biases: rows filled, and their gradient the sum over rows") {
  Cpu cpu;
  Numbers numbers;
  std::vector<double> bias = numbers.vector(kHidden), weights = numbers.vector(kTokens * kHidden), y(weights.size()), gradient(kHidden, 0.0);
  const auto forward = [&] {
    ops::fill_rows<double>(cpu, bias.data(), matrix(y, kHidden));
    return weighted_sum(y, weights);
  };
  forward();
  CHECK_EQ(y[kHidden + 2], bias[2]);
  ops::add_row_sums<double>(cpu, matrix(weights, kHidden), gradient.data());
  check_gradient("bias", bias, gradient, forward);
}

TEST("target_logps, with logits far from zero, and through a cap") {
  Cpu cpu;
  Numbers numbers;
  const std::vector<int32_t> targets = {3, 0, 8, 8};
  std::vector<double> logits = numbers.vector(4 * 9, 4), coef = numbers.vector(4), logp(4), again(4), capped;
  for (const double cap : {0.0, 2.5}) {
    if (cap == 0)
      for (int i = 0; i < 9; i++) logits[i] += 700;
    const auto forward = [&] {
      capped = logits;
      if (cap != 0) ops::soft_cap<double>(cpu, cap, matrix(capped, 9));
      ops::target_logps<double>(cpu, matrix(capped, 9), targets.data(), logp.data());
      return weighted_sum(logp, coef);
    };
    forward();
    std::vector<double> gradient = capped;
    ops::target_logps_and_gradient<double>(cpu, matrix(gradient, 9), targets.data(), coef.data(), cap, again.data(), matrix(gradient, 9));
    for (int i = 0; i < 4; i++) CHECK_NEAR(again[i], logp[i], 1e-12);
    check_gradient("target_logps", logits, gradient, forward);
  }
}

TEST("rows: embedding, gather and scatter are each other's transpose") {
  Cpu cpu;
  Numbers numbers;
  const std::vector<int32_t> rows = {2, 0, 2, 4};
  std::vector<double> table = numbers.vector(5 * 3), picked(4 * 3), weights = numbers.vector(4 * 3), gradient(5 * 3, 0.0), scattered(5 * 3, 0.0);
  const auto forward = [&] {
    ops::embedding<double>(cpu, matrix(table, 3), rows.data(), 3.0, matrix(picked, 3));
    return weighted_sum(picked, weights);
  };
  forward();
  ops::embedding_backward<double>(cpu, matrix(weights, 3), rows.data(), 3.0, matrix(gradient, 3));
  check_gradient("embedding", table, gradient, forward);
  forward();
  std::vector<double> gathered(4 * 3);
  ops::gather_rows<double>(cpu, matrix(table, 3), rows.data(), matrix(gathered, 3));
  for (size_t i = 0; i < picked.size(); i++) CHECK_EQ(picked[i], 3 * gathered[i]);
  ops::scatter_add_rows<double>(cpu, matrix(weights, 3), rows.data(), matrix(scattered, 3));
  for (size_t i = 0; i < gradient.size(); i++) CHECK_NEAR(gradient[i], 3 * scattered[i], 1e-12);
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
