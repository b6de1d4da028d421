// The operations a decoder is made of, on the CPU. A second backend overloads the same names and argument orders on
// its own device handle in place of `Cpu&`; the model code names no backend.
//
// Every op is a template on the scalar. `float` trains; `double` is the oracle the tests differentiate numerically.
// Row-major everywhere. T tokens, H hidden, I intermediate, V vocabulary, R rows that predict a target token.
//
// Work is cut into pieces whose size depends on the shapes only, each piece has one writer, and partial sums are added
// in a fixed order: the same input gives the same bytes whatever the number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "ops/activation.h"
#include "ops/cpu/threads.h"

namespace concord {

// A view of a row-major matrix; consecutive rows are `stride` elements apart.
template <class T>
struct Mat {
  T* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  Mat() = default;
  Mat(T* d, int64_t r, int64_t c) : data(d), rows(r), cols(c), stride(c) {}
  Mat(T* d, int64_t r, int64_t c, int64_t s) : data(d), rows(r), cols(c), stride(s) {}
  operator Mat<const T>() const { return {data, rows, cols, stride}; }

  T* row(int64_t i) const { return data + i * stride; }
  Mat row_range(int64_t begin, int64_t end) const { return {row(begin), end - begin, cols, stride}; }
  Mat col_range(int64_t begin, int64_t end) const { return {data + begin, rows, end - begin, stride}; }
  explicit operator bool() const { return data != nullptr; }
};

// Rows [begin, end) of a packed batch that attend causally to themselves and fully to rows
// [prefix_begin, prefix_end), the prompt they continue (empty for a prompt and for text without one).
struct AttentionSegment {
  int32_t begin = 0, end = 0, prefix_begin = 0, prefix_end = 0;
};

// Segments [first, last) that share no key with any other segment of the batch: one group.
struct AttentionGroup {
  int32_t first = 0, last = 0;
};

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t q_cols() const { return heads * head_dim; }
  int64_t kv_cols() const { return kv_heads * head_dim; }
  int64_t qkv_cols() const { return q_cols() + 2 * kv_cols(); }
};

// How scores are made of queries and keys: scale q k^T, then cap tanh(score / cap) where softcap is not 0, over the last
// `window` keys (the query's own included) where that is not 0.
struct AttentionRule {
  double scale = 1;
  double softcap = 0;
  int64_t window = 0;
};

// A root mean square norm: y = x rstd (offset + weight), rstd = 1/sqrt(mean(x^2) + eps).
template <class T>
struct RmsNorm {
  const T* weight = nullptr;
  T offset = 0, eps = 0;
};

// What one sequence sees of two caches of keys and values, rows [k | v]: its prompt's rows, which others may share, and
// its own.
struct CachedSegment {
  int64_t prompt_begin = 0, prompt_end = 0, own_begin = 0, own_end = 0;
};

struct Dropout {
  double p = 0;      // to be dropped, in steps of 2^-16
  uint64_t key = 0;  // of seed, step and place in the model
};

namespace ops {

// Of products of at most so many rows each row's result is the same bytes whatever rows stand beside it.
inline constexpr int64_t kFewRows = 64;

// Y[m,n] = alpha X[m,k] W[n,k]^T + beta Y. A linear layer's forward, weights stored [out, in].
template <class T>
void matmul_nt(Cpu&, T alpha, Mat<const T> x, Mat<const T> w, T beta, Mat<T> y);
// X[m,k] = alpha Y[m,n] W[n,k] + beta X. The gradient of its input.
template <class T>
void matmul_nn(Cpu&, T alpha, Mat<const T> y, Mat<const T> w, T beta, Mat<T> x);
// W[n,k] = alpha Y[m,n]^T X[m,k] + beta W. The gradient of its weight.
template <class T>
void matmul_tn(Cpu&, T alpha, Mat<const T> y, Mat<const T> x, T beta, Mat<T> w);

// y[t,:] = row
template <class T>
void fill_rows(Cpu&, const T* row, Mat<T> y);
// sum[i] += sum over t of y[t,i]: the gradient of a bias.
template <class T>
void add_row_sums(Cpu&, Mat<const T> y, T* sum);

// x[t,:] = scale table[tokens[t],:]
template <class T>
void embedding(Cpu&, Mat<const T> table, const int32_t* tokens, T scale, Mat<T> x);
// dtable[tokens[t],:] += scale dx[t,:]
template <class T>
void embedding_backward(Cpu&, Mat<const T> dx, const int32_t* tokens, T scale, Mat<T> dtable);

// Writes y and rstd[t]                                              (Zhang & Sennrich 2019)
template <class T>
void rms_norm(Cpu&, Mat<const T> x, RmsNorm<T>, Mat<T> y, T* rstd);
// sum = x + delta, then as rms_norm: the residual add and the norm that follows it in one pass.
template <class T>
void add_rms_norm(Cpu&, Mat<const T> x, Mat<const T> delta, Mat<T> sum, RmsNorm<T>, Mat<T> y, T* rstd);
// dx += gradient of rms_norm; dw += its gradient where dw is not null.
template <class T>
void rms_norm_backward(Cpu&, Mat<const T> x, RmsNorm<T>, const T* rstd, Mat<const T> dy, Mat<T> dx, T* dw);

// Norms every head's query and key in place, over head_dim (Dehghani et al. 2023); v stays. Keeps what was there in
// raw [T, q_cols + kv_cols] and rstd [T, heads + kv_heads].
template <class T>
void head_norms(Cpu&, Mat<T> qkv, AttentionShape, RmsNorm<T> query, RmsNorm<T> key, Mat<T> raw, Mat<T> rstd);
// Replaces dqkv by the gradient of what head_norms was given; dquery, dkey += those of the weights where not null.
template <class T>
void head_norms_backward(Cpu&, Mat<const T> raw, AttentionShape, RmsNorm<T> query, RmsNorm<T> key, Mat<const T> rstd, Mat<T> dqkv,
                         T* dquery, T* dkey);

// Rotates the first R = table.cols elements of every head's q and k in place by the angle of each row's position; a row of
// the table holds R/2 cosines, then R/2 sines. `direction` -1 rotates back, which is the gradient.
template <class T>
void rope(Cpu&, Mat<T> qkv, AttentionShape, const int32_t* positions, Mat<const T> table, T direction);

// out[t, h*d..] = softmax(scores) v over the keys a segment sees; lse[t, h] = log of the softmax's denominator.
template <class T>
void attention(Cpu&, Mat<const T> qkv, AttentionShape, AttentionRule, std::span<const AttentionSegment>,
               std::span<const AttentionGroup>, Mat<T> out, Mat<T> lse, Mat<T> scratch);
// dqkv = gradient of attention, all columns written.
template <class T>
void attention_backward(Cpu&, Mat<const T> qkv, AttentionShape, AttentionRule, std::span<const AttentionSegment>,
                        std::span<const AttentionGroup>, Mat<const T> out, Mat<const T> lse, Mat<const T> dout,
                        Mat<T> dqkv, Mat<T> scratch);
// Elements of scratch that one worker needs, for the longest list of keys any segment of the batch sees.
int64_t attention_scratch_elements(int64_t keys_max);

// One query row per sequence: out[s, h*d..] = softmax(scores) v over segments[s] of the caches [rows, 2 kv_cols].
template <class T>
void cached_attention(Cpu&, Mat<const T> qkv, AttentionShape, AttentionRule, Mat<const T> prompt_cache,
                      Mat<const T> own_cache, std::span<const CachedSegment>, Mat<T> out);

// act = f(gate) * up, with gate_up [T, 2I] = [gate | up]           (Shazeer 2020)
template <class T>
void gated_activation(Cpu&, Activation f, Mat<const T> gate_up, Mat<T> act);
// Replaces gate_up by its gradient, given dact.
template <class T>
void gated_activation_backward(Cpu&, Activation f, Mat<const T> dact, Mat<T> gate_up);

// x = cap tanh(x / cap)                                             (Gemma Team 2024, section 2)
template <class T>
void soft_cap(Cpu&, T cap, Mat<T> x);

// logp[r] = logits[r, targets[r]] - logsumexp(logits[r]).
template <class T>
void target_logps(Cpu&, Mat<const T> logits, const int32_t* targets, T* logp);
// The same, and logits[r] becomes coef[r] * d logp[r] / d logits[r] = coef[r] * (onehot(target) - softmax), times the
// derivative of soft_cap where the logits went through it (softcap not 0).
template <class T>
void target_logps_and_gradient(Cpu&, Mat<T> logits, const int32_t* targets, const T* coef, T softcap, T* logp);

// y[r,:] = x[rows[r],:]
template <class T>
void gather_rows(Cpu&, Mat<const T> x, const int32_t* rows, Mat<T> y);
// x[rows[r],:] += y[r,:]; rows may repeat.
template <class T>
void scatter_add_rows(Cpu&, Mat<const T> y, const int32_t* rows, Mat<T> x);
// y = x with each element kept with probability 1 - p and divided by it, else 0 (Srivastava et al. 2014). Whether an element
// is kept depends on the key, its row's id and its column only. y may be x.
template <class T>
void dropout(Cpu&, const Dropout&, Mat<const T> x, const uint64_t* row_ids, Mat<T> y);
// x[r,:] *= coef[r]
template <class T>
void scale_rows(Cpu&, const T* coef, Mat<T> x);
template <class T>
void fill(Cpu&, T value, Mat<T> x);
// y += x
template <class T>
void add(Cpu&, Mat<const T> x, Mat<T> y);

}  // namespace ops
}  // namespace concord
