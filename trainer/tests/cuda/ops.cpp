// Every op of the CUDA backend but attention and products against the CPU's in double, in bfloat16 and in float; columns that fill
// whole loads and some that do not.
#include "twin.h"

using namespace twin;

namespace {

constexpr int64_t kRows = 37;
const std::vector<int64_t> kCols = {64, 520, 33};  // one wave of lanes, more than one, not a multiple of eight

template <class T>
RmsNorm<T> norm_of(const T* weight) {
  return {weight, 1, static_cast<Stat<T>>(1e-5)};
}

std::vector<int32_t> some_rows(int64_t n, int64_t below) {
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < n; i++) rows.push_back(static_cast<int32_t>(draw().below(static_cast<uint64_t>(below))));
  return rows;
}

}  // namespace

TEST("rms_norm, add_rms_norm and their gradients") {
  for_types([]<class T>() {
    for (const int64_t cols : kCols) {
      Twin<T> x(kRows, cols), w(1, cols), delta(kRows, cols), sum(kRows, cols), y(kRows, cols), dy(kRows, cols), dx(kRows, cols);
      Twin<float> rstd(kRows, 1), dw(1, cols);
      const RmsNorm<double> exact = norm_of(static_cast<const double*>(w.values()));
      const RmsNorm<T> gpu = norm_of(static_cast<const T*>(w.pointer()));
      ops::rms_norm<double>(cpu(), x.exact(), exact, y.exact(), rstd.values());
      ops::rms_norm<T>(cuda(), x.gpu(), gpu, y.gpu(), rstd.pointer());
      y.check("rms_norm", kForward);
      rstd.check("rms_norm rstd", kForward);
      ops::rms_norm_backward<double>(cpu(), x.exact(), exact, rstd.values(), dy.exact(), dx.exact(), dw.values());
      ops::rms_norm_backward<T>(cuda(), x.gpu(), gpu, rstd.pointer(), dy.gpu(), dx.gpu(), dw.pointer());
      dx.check("rms_norm_backward", kBackward);
      dw.check("rms_norm_backward dw", kBackward);
      ops::add<double>(cpu(), delta.exact(), x.exact());  // what the sum is; then the norm of the sum as it is stored
      ops::copy<double>(cpu(), x.exact(), sum.exact());
      ops::add<T>(cuda(), delta.gpu(), x.gpu());
      x.check("add", kForward);
      Twin<T> a(kRows, cols), b(kRows, cols);
      ops::add_rms_norm<T>(cuda(), a.gpu(), b.gpu(), sum.gpu(), gpu, y.gpu(), rstd.pointer());
      ops::copy<double>(cpu(), a.exact(), sum.exact());
      ops::add<double>(cpu(), b.exact(), sum.exact());
      sum.check("add_rms_norm sum", kForward);
      const std::vector<double> stored = sum.fetched();
      ops::rms_norm<double>(cpu(), Mat<const double>(stored.data(), kRows, cols), exact, y.exact(), rstd.values());
      y.check("add_rms_norm", kForward);
      rstd.check("add_rms_norm rstd", kForward);
    }
  });
}

TEST("columns of a wider matrix, whose rows are not aligned") {
  for_types([]<class T>() {
    const auto part = [](auto m) { return m.col_range(1, 65); };
    Twin<T> x(kRows, 67), y(kRows, 67), w(1, 64), gate_up(kRows, 131), act(kRows, 67);
    Twin<float> rstd(kRows, 1);
    ops::add<double>(cpu(), part(x.exact()), part(y.exact()));
    ops::add<T>(cuda(), part(x.gpu()), part(y.gpu()));
    y.check("add", kForward);
    ops::rms_norm<double>(cpu(), part(x.exact()), norm_of(static_cast<const double*>(w.values())), part(y.exact()), rstd.values());
    ops::rms_norm<T>(cuda(), part(x.gpu()), norm_of(static_cast<const T*>(w.pointer())), part(y.gpu()), rstd.pointer());
    y.check("rms_norm", kForward);
    ops::gated_activation<double>(cpu(), Activation::silu, gate_up.exact().col_range(1, 129), part(act.exact()));
    ops::gated_activation<T>(cuda(), Activation::silu, gate_up.gpu().col_range(1, 129), part(act.gpu()));
    act.check("gated_activation", kForward);
  });
}

TEST("head_norms and their gradients") {
  for_types([]<class T>() {
    const AttentionShape shape{4, 2, 40};
    const int64_t cols = shape.qkv_cols(), normed = shape.q_cols() + shape.kv_cols(), heads = shape.heads + shape.kv_heads;
    Twin<T> qkv(kRows, cols), wq(1, 40), wk(1, 40), raw(kRows, normed), dqkv(kRows, cols);
    Twin<float> rstd(kRows, heads), dwq(1, 40), dwk(1, 40);
    const auto exact = [](Twin<T>& w) { return norm_of(static_cast<const double*>(w.values())); };
    const auto gpu = [](Twin<T>& w) { return norm_of(static_cast<const T*>(w.pointer())); };
    ops::head_norms<double>(cpu(), qkv.exact(), shape, exact(wq), exact(wk), raw.exact(), rstd.exact());
    ops::head_norms<T>(cuda(), qkv.gpu(), shape, gpu(wq), gpu(wk), raw.gpu(), rstd.gpu());
    qkv.check("head_norms", kForward);
    raw.check("head_norms raw", 0);
    rstd.check("head_norms rstd", kForward);
    ops::head_norms_backward<double>(cpu(), raw.exact(), shape, exact(wq), exact(wk), rstd.exact(), dqkv.exact(), dwq.values(), dwk.values());
    ops::head_norms_backward<T>(cuda(), raw.gpu(), shape, gpu(wq), gpu(wk), rstd.gpu(), dqkv.gpu(), dwq.pointer(), dwk.pointer());
    dqkv.check("head_norms_backward", kBackward);
    dwq.check("head_norms_backward dquery", kBackward);
    dwk.check("head_norms_backward dkey", kBackward);
  });
}

TEST("rope there and back, of whole heads and of their first elements") {
  for_types([]<class T>() {
    for (const int64_t turned : {64, 32, 6}) {
      const AttentionShape shape{3, 1, 64};
      Twin<T> qkv(kRows, shape.qkv_cols());
      Twin<float> table(50, turned);
      const std::vector<int32_t> positions = some_rows(kRows, 50);
      const auto on_gpu = placed(positions);
      for (const int direction : {1, -1}) {
        ops::rope<double>(cpu(), qkv.exact(), shape, positions.data(), table.exact(), direction);
        ops::rope<T>(cuda(), qkv.gpu(), shape, on_gpu.data(), table.gpu(), static_cast<float>(direction));
        qkv.check("rope", direction > 0 ? kForward : 2 * kBackward);  // the way back begins at what was rounded
      }
    }
  });
}

TEST("put_rows") {
  for_types([]<class T>() {
    for (const int64_t cols : kCols) {
      Twin<T> x(kRows, cols), y(2 * kRows, cols);
      std::vector<int32_t> rows;
      for (int64_t r = 0; r < kRows; r++) rows.push_back(static_cast<int32_t>((2 * r + 5) % (2 * kRows)));
      const auto on_gpu = placed(rows);
      ops::put_rows<double>(cpu(), x.exact(), rows.data(), y.exact());
      ops::put_rows<T>(cuda(), x.gpu(), on_gpu.data(), y.gpu());
      y.check("put_rows", 0);
    }
  });
}

TEST("gated activations and their gradients, caps") {
  for_types([]<class T>() {
    for (const int64_t cols : kCols)
      for (const Activation f : {Activation::silu, Activation::gelu_tanh}) {
        Twin<T> gate_up(kRows, 2 * cols, 5), act(kRows, cols), dact(kRows, cols);
        ops::gated_activation<double>(cpu(), f, gate_up.exact(), act.exact());
        ops::gated_activation<T>(cuda(), f, gate_up.gpu(), act.gpu());
        act.check("gated_activation", kForward);
        ops::gated_activation_backward<double>(cpu(), f, dact.exact(), gate_up.exact());
        ops::gated_activation_backward<T>(cuda(), f, dact.gpu(), gate_up.gpu());
        gate_up.check("gated_activation_backward", kBackward);
      }
  });
  Twin<float> x(kRows, 64, 40);
  ops::soft_cap<double>(cpu(), 30, x.exact());
  ops::soft_cap<float>(cuda(), 30, x.gpu());
  x.check("soft_cap", kForward);
}

TEST("log-probabilities of targets and their gradients, in place of the logits; logits out of the ordinary") {
  for_types([]<class T>() {
    for (const double cap : {0.0, 30.0})
      for (const int64_t vocab : {61, 1500, 512}) {
        Twin<float> logits(kRows, vocab, 20), coef(kRows, 1), logp(kRows, 1), again(kRows, 1);
        const std::vector<int32_t> targets = some_rows(kRows, vocab);
        const auto on_gpu = placed(targets);
        ops::target_logps<double>(cpu(), logits.exact(), targets.data(), logp.values());
        ops::target_logps<T>(cuda(), logits.gpu(), on_gpu.data(), logp.pointer());
        logp.check("target_logps", kForward);
        Twin<T> gradient(kRows, vocab);
        ops::copy<double>(cpu(), logits.exact(), gradient.exact());
        ops::target_logps_and_gradient<double>(cpu(), gradient.exact(), targets.data(), coef.values(), cap, again.values(), gradient.exact());
        const Mat<T> in_place = in_place_of<T>(logits.gpu());
        ops::target_logps_and_gradient<T>(cuda(), logits.gpu(), on_gpu.data(), coef.pointer(), static_cast<float>(cap), again.pointer(), in_place);
        ops::copy<T>(cuda(), in_place, gradient.gpu());
        gradient.check("target_logps_and_gradient", kBackward);
        again.check("target_logps_and_gradient logp", kForward);
      }
  });
  std::vector<float> extremes = {700, -700, 0, 1e30f, -INFINITY, 3, NAN, 0, 0};
  const auto logits = placed(extremes);
  const auto targets = placed(std::vector<int32_t>{0, 2, 0});
  Cuda::Buffer<float> logp(3);
  ops::target_logps<float>(cuda(), Mat<const float>(logits.data(), 3, 3), targets.data(), logp.data());
  float got[3];
  cuda().fetch(logp.data(), got, 3);
  CHECK_EQ(got[0], 0.0f);
  CHECK_NEAR(got[1], -1e30, 1e24);
  CHECK(std::isnan(got[2]));
}

TEST("rows: embedding, gather, scatter with rows that repeat, biases, factors, fill") {
  for_types([]<class T>() {
    for (const int64_t cols : kCols) {
      Twin<T> table(20, cols), x(300, cols), y(300, cols), bias(1, cols);
      Twin<float> dtable(20, cols), sums(1, cols), coef(300, 1);
      const std::vector<int32_t> rows = some_rows(300, 20);  // each about fifteen times
      const auto on_gpu = placed(rows);
      ops::embedding<double>(cpu(), table.exact(), rows.data(), 1.5, x.exact());
      ops::embedding<T>(cuda(), table.gpu(), on_gpu.data(), 1.5f, x.gpu());
      x.check("embedding", kForward);
      ops::embedding_backward<double>(cpu(), y.exact(), rows.data(), 1.5, dtable.exact());
      ops::embedding_backward<T>(cuda(), y.gpu(), on_gpu.data(), 1.5f, dtable.gpu());
      dtable.check("embedding_backward", kBackward);
      ops::gather_rows<double>(cpu(), table.exact(), rows.data(), x.exact());
      ops::gather_rows<T>(cuda(), table.gpu(), on_gpu.data(), x.gpu());
      x.check("gather_rows", 0);
      ops::scatter_add_rows<double>(cpu(), y.exact(), rows.data(), table.exact());
      ops::scatter_add_rows<T>(cuda(), y.gpu(), on_gpu.data(), table.gpu());
      table.check("scatter_add_rows", kBackward);
      ops::add_row_sums<double>(cpu(), y.exact(), sums.values());
      ops::add_row_sums<T>(cuda(), y.gpu(), sums.pointer());
      sums.check("add_row_sums", kBackward);
      ops::scale_rows<double>(cpu(), coef.values(), y.exact());
      ops::scale_rows<T>(cuda(), coef.pointer(), y.gpu());
      y.check("scale_rows", kForward);
      ops::fill_rows<double>(cpu(), bias.values(), y.exact());
      ops::fill_rows<T>(cuda(), bias.pointer(), y.gpu());
      y.check("fill_rows", 0);
      ops::fill<double>(cpu(), 0.25, y.exact());
      ops::fill<T>(cuda(), 0.25f, y.gpu());
      y.check("fill", 0);
    }
  });
}

TEST("dropout drops what the CPU drops") {
  for_types([]<class T>() {
    for (const int64_t cols : kCols) {
      Twin<T> x(kRows, cols), y(kRows, cols);
      std::vector<uint64_t> ids;
      for (int64_t t = 0; t < kRows; t++) ids.push_back(draw().next());
      const auto on_gpu = placed(ids);
      const Dropout how{0.3, 1234567890123456789u};
      ops::dropout<double>(cpu(), how, x.exact(), ids.data(), y.exact());
      ops::dropout<T>(cuda(), how, x.gpu(), on_gpu.data(), y.gpu());
      y.check("dropout", kForward);
    }
  });
}

TEST("AdamW, the norm of gradients, and what products read of parameters") {
  for (const int64_t n : {1000, 1003}) {
    Twin<float> p(1, n), m(1, n), v(1, n), g(1, n);
    const AdamWStep<double> step{0.9, 0.1, 0.999, 0.001, 0.5, 0.99, 0.01, 2, 1e-8};
    const AdamWStep<float> single{0.9f, 0.1f, 0.999f, 0.001f, 0.5f, 0.99f, 0.01f, 2, 1e-8f};
    for (int64_t i = 0; i < n; i++) v.values()[i] = std::abs(v.values()[i]);
    cuda().write(std::span<const float>(std::vector<float>(v.values(), v.values() + n)), v.pointer());
    ops::adamw<double>(cpu(), step, n, p.values(), m.values(), v.values(), g.values());
    ops::adamw<float>(cuda(), single, n, p.pointer(), m.pointer(), v.pointer(), g.pointer());
    p.check("adamw", kForward);
    m.check("adamw m", kForward);
    v.check("adamw v", kForward);
    CHECK_NEAR(ops::sum_of_squares<float>(cuda(), g.pointer(), n), ops::sum_of_squares<double>(cpu(), g.values(), n), 1e-9);
    Twin<Bf16> rounded(1, n);
    ops::round<Bf16>(cuda(), n, p.pointer(), rounded.pointer());
    ops::copy<double>(cpu(), p.exact(), rounded.exact());
    rounded.check("round", 1.01);
  }
}

TEST("quantized weights to dense, to the bit of the CPU's where float holds it") {
  for (const Quantization how : {Quantization::nf4, Quantization::nf4_double, Quantization::fp8})
    for (const int64_t cols : {128, 50}) {
      std::vector<float> w(300 * cols), want(w.size());
      for (float& x : w) x = static_cast<float>(draw().uniform() - 0.5);
      std::fill_n(w.begin() + cols, cols, 0.0f);
      for (int64_t j = 0; j < cols; j++) w[j] = std::ldexp(w[j], -static_cast<int>(j % 20));  // FP8's subnormal numbers too
      const QuantizedMatrix q = quantize(cpu(), {w.data(), 300, cols}, how);
      ops::dequantize<float>(cpu(), q.view(), {want.data(), 300, cols});
      const auto codes = placed(q.codes), scale_codes = placed(q.scale_codes);
      const auto scales = placed(q.scales), scale_scales = placed(q.scale_scales);
      const QuantizedView view{how, 300, cols, codes.data(), scales.data(), scale_codes.data(), scale_scales.data(), q.scale_mean};
      Twin<float> dense(300, cols);
      Twin<Bf16> rounded(300, cols);
      ops::dequantize<float>(cuda(), view, dense.gpu());
      ops::dequantize<Bf16>(cuda(), view, rounded.gpu());
      std::copy(want.begin(), want.end(), dense.values());
      std::copy(want.begin(), want.end(), rounded.values());
      dense.check("dequantize", 0);
      const std::vector<double> got = dense.fetched();  // bit by bit: FP8's smallest numbers are far below what check() sees
      if (how == Quantization::fp8) CHECK(std::equal(got.begin(), got.end(), want.begin()));
      rounded.check("dequantize to bfloat16", 1.01);
    }
}

TEST("what DoRA adds") {
  for_types([]<class T>() {
    for (const int64_t cols : kCols) {
      Twin<T> w(kRows, cols), wa(kRows, 4), aa(4, 4), b(kRows, 4, 0.1), y(kRows, cols), raw(kRows, cols), bias(1, cols);
      Twin<float> norms(1, kRows), gain(1, cols), norm(1, cols), dm(1, cols), magnitude(1, cols), quotient(1, cols);
      ops::adapted_row_norms<double>(cpu(), w.exact(), wa.exact(), aa.exact(), b.exact(), 2, norms.values());
      ops::adapted_row_norms<T>(cuda(), w.gpu(), wa.gpu(), aa.gpu(), b.gpu(), 2, norms.pointer());
      norms.check("adapted_row_norms", kForward);
      ops::apply_gains<double>(cpu(), gain.values(), bias.values(), y.exact(), raw.exact());
      ops::apply_gains<T>(cuda(), gain.pointer(), bias.pointer(), y.gpu(), raw.gpu());
      y.check("apply_gains", kForward);
      raw.check("apply_gains raw", kForward);
      ops::add_magnitude_gradient<double>(cpu(), w.exact(), y.exact(), norm.values(), dm.values());
      Twin<T> same(kRows, cols);
      const std::vector<double> stored = y.fetched();
      std::copy(stored.begin(), stored.end(), same.values());
      dm = Twin<float>(1, cols);
      ops::add_magnitude_gradient<double>(cpu(), w.exact(), same.exact(), norm.values(), dm.values());
      ops::add_magnitude_gradient<T>(cuda(), w.gpu(), y.gpu(), norm.pointer(), dm.pointer());
      dm.check("add_magnitude_gradient", kBackward);
      ops::scale_columns<double>(cpu(), gain.values(), w.exact());
      ops::scale_columns<T>(cuda(), gain.pointer(), w.gpu());
      w.check("scale_columns", kForward);
      ops::gains<double>(cpu(), cols, magnitude.values(), norm.values(), quotient.values());
      ops::gains<float>(cuda(), cols, magnitude.pointer(), norm.pointer(), quotient.pointer());
      quotient.check("gains", kForward);
    }
  });
}

TEST("products, with rows of a wider matrix and of few columns") {
  for_types([]<class T>() {
    for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{5, 7, 3}, {64, 48, 32}, {33, 130, 65}}) {
      Twin<T> x(m, k), w(n, k), y(m, n), wider(m, n + 8);
      ops::matmul_nt<double>(cpu(), 2, x.exact(), w.exact(), 1, y.exact());
      ops::matmul_nt<T>(cuda(), 2, x.gpu(), w.gpu(), 1, y.gpu());
      y.check("matmul_nt", kForward);
      ops::matmul_nt<double>(cpu(), 1, x.exact(), w.exact(), 0, wider.exact().col_range(8, n + 8));
      ops::matmul_nt<T>(cuda(), 1, x.gpu(), w.gpu(), 0, wider.gpu().col_range(8, n + 8));
      wider.check("matmul_nt into columns", kForward);
      Twin<T> dy(m, n), dx(m, k);
      Twin<float> dw(n, k);
      ops::matmul_nn<double>(cpu(), 1, dy.exact(), w.exact(), 0, dx.exact());
      ops::matmul_nn<T>(cuda(), 1, dy.gpu(), w.gpu(), 0, dx.gpu());
      dx.check("matmul_nn", kBackward);
      ops::matmul_tn<double>(cpu(), 1, dy.exact(), x.exact(), 1, dw.exact());
      ops::matmul_tn<T>(cuda(), 1, dy.gpu(), x.gpu(), 1, dw.gpu());
      dw.check("matmul_tn", kBackward);
    }
  });
  Twin<Bf16> x(9, 16), w(21, 16);
  Twin<float> logits(9, 21);
  ops::matmul_nt<double>(cpu(), 1, x.exact(), w.exact(), 0, logits.exact());
  ops::matmul_nt<Bf16>(cuda(), 1, x.gpu(), w.gpu(), 0, logits.gpu());
  logits.check("matmul_nt to float", kForward);
}
