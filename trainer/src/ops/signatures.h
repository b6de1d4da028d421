// Every operation with its formula, once for all devices: included for each of them, with its name in CONCORD_DEVICE.
//
// T is what activations and weights are stored in. T tokens, H hidden, I intermediate, V vocabulary, R rows that predict a
// target token. Pointers and matrices are of the device's memory.

// Y[m,n] = alpha X[m,k] W[n,k]^T + beta Y. A linear layer's forward, weights stored [out, in]. Y is T, or Stat<T> for logits.
template <class T, class Y = T>
void matmul_nt(CONCORD_DEVICE&, Stat<T> alpha, Mat<const T> x, Mat<const T> w, Stat<T> beta, Mat<Y> y);
// X[m,k] = alpha Y[m,n] W[n,k] + beta X. The gradient of its input.
template <class T>
void matmul_nn(CONCORD_DEVICE&, Stat<T> alpha, Mat<const T> y, Mat<const T> w, Stat<T> beta, Mat<T> x);
// W[n,k] = alpha Y[m,n]^T X[m,k] + beta W. The gradient of its weight.
template <class T>
void matmul_tn(CONCORD_DEVICE&, Stat<T> alpha, Mat<const T> y, Mat<const T> x, Stat<T> beta, Mat<Stat<T>> w);

// y[t,:] = row
template <class T>
void fill_rows(CONCORD_DEVICE&, const T* row, Mat<T> y);
// sum[i] += sum over t of y[t,i]: the gradient of a bias.
template <class T>
void add_row_sums(CONCORD_DEVICE&, Mat<const T> y, Stat<T>* sum);

// x[t,:] = scale table[tokens[t],:]
template <class T>
void embedding(CONCORD_DEVICE&, Mat<const T> table, const int32_t* tokens, Stat<T> scale, Mat<T> x);
// dtable[tokens[t],:] += scale dx[t,:]
template <class T>
void embedding_backward(CONCORD_DEVICE&, Mat<const T> dx, const int32_t* tokens, Stat<T> scale, Mat<Stat<T>> dtable);

// Writes y and rstd[t]                                              (Zhang & Sennrich 2019)
template <class T>
void rms_norm(CONCORD_DEVICE&, Mat<const T> x, RmsNorm<T>, Mat<T> y, Stat<T>* rstd);
// sum = x + delta, then as rms_norm: the residual add and the norm that follows it in one pass.
template <class T>
void add_rms_norm(CONCORD_DEVICE&, Mat<const T> x, Mat<const T> delta, Mat<T> sum, RmsNorm<T>, Mat<T> y, Stat<T>* rstd);
// dx += gradient of rms_norm; dw += its gradient where dw is not null.
template <class T>
void rms_norm_backward(CONCORD_DEVICE&, Mat<const T> x, RmsNorm<T>, const Stat<T>* rstd, Mat<const T> dy, Mat<T> dx, Stat<T>* dw);

// Norms every head's query and key in place, over head_dim (Dehghani et al. 2023); v stays. Keeps what was there in
// raw [T, q_cols + kv_cols] and rstd [T, heads + kv_heads].
template <class T>
void head_norms(CONCORD_DEVICE&, Mat<T> qkv, AttentionShape, RmsNorm<T> query, RmsNorm<T> key, Mat<T> raw, Mat<Stat<T>> rstd);
// Replaces dqkv by the gradient of what head_norms was given; dquery, dkey += those of the weights where not null.
template <class T>
void head_norms_backward(CONCORD_DEVICE&, Mat<const T> raw, AttentionShape, RmsNorm<T> query, RmsNorm<T> key, Mat<const Stat<T>> rstd, Mat<T> dqkv,
                         Stat<T>* dquery, Stat<T>* dkey);

// Rotates the first R = table.cols elements of every head's q and k in place by the angle of each row's position; a row of
// the table holds R/2 cosines, then R/2 sines. `direction` -1 rotates back, which is the gradient.
template <class T>
void rope(CONCORD_DEVICE&, Mat<T> qkv, AttentionShape, const int32_t* positions, Mat<const Stat<T>> table, Stat<T> direction);

// out[t, h*d..] = softmax(scores) v over the keys a row sees; lse[t, h] = log of the softmax's denominator.
template <class T>
void attention(CONCORD_DEVICE&, Mat<const T> qkv, AttentionShape, AttentionRule, const AttentionView&, Mat<T> out, Mat<Stat<T>> lse,
               Mat<Stat<T>> scratch);
// dqkv = gradient of attention, all columns written.
template <class T>
void attention_backward(CONCORD_DEVICE&, Mat<const T> qkv, AttentionShape, AttentionRule, const AttentionView&, Mat<const T> out,
                        Mat<const Stat<T>> lse, Mat<const T> dout, Mat<T> dqkv, Mat<Stat<T>> scratch);

// The same of single query rows, each over what its segment of a cache [rows, k | v] has. scratch [parts heads, head_dim + 1] of the view's
// parts, where the device is not the CPU.
template <class T>
void cached_attention(CONCORD_DEVICE&, Mat<const T> qkv, AttentionShape, AttentionRule, Mat<const T> cache, const CachedView&, Mat<T> out,
                      Mat<Stat<T>> scratch);

// act = f(gate) * up, with gate_up [T, 2I] = [gate | up]           (Shazeer 2020)
template <class T>
void gated_activation(CONCORD_DEVICE&, Activation f, Mat<const T> gate_up, Mat<T> act);
// Replaces gate_up by its gradient, given dact.
template <class T>
void gated_activation_backward(CONCORD_DEVICE&, Activation f, Mat<const T> dact, Mat<T> gate_up);

// x = cap tanh(x / cap), of logits                                  (Gemma Team 2024, section 2)
template <class T>
void soft_cap(CONCORD_DEVICE&, Stat<T> cap, Mat<Stat<T>> x);

// logp[r] = logits[r, targets[r]] - logsumexp(logits[r]).
template <class T>
void target_logps(CONCORD_DEVICE&, Mat<const Stat<T>> logits, const int32_t* targets, Stat<T>* logp);
// The same, and gradient[r] = coef[r] * d logp[r] / d logits[r] = coef[r] * (onehot(target) - softmax), times the derivative of
// soft_cap where the logits went through it (softcap not 0). `gradient` is in_place_of<T>(logits).
template <class T>
void target_logps_and_gradient(CONCORD_DEVICE&, Mat<const Stat<T>> logits, const int32_t* targets, const Stat<T>* coef, Stat<T> softcap,
                               Stat<T>* logp, Mat<T> gradient);

// As a repetition penalty leaves the logits of tokens seen; none is there twice.
void penalize(CONCORD_DEVICE&, std::span<const SeenToken>, Mat<float> logits);
// tokens[i] = what draws[i] takes of its row. Of equal logits the smaller id is the better one. -1: the row holds NaN, or its largest logit
// is not finite.
void sample(CONCORD_DEVICE&, Mat<const float> logits, std::span<const Draw> draws, int32_t* tokens);

// y[r,:] = x[rows[r],:]
template <class T>
void gather_rows(CONCORD_DEVICE&, Mat<const T> x, const int32_t* rows, Mat<T> y);
// y[rows[r],:] = x[r,:]; no row repeats.
template <class T>
void put_rows(CONCORD_DEVICE&, Mat<const T> x, const int32_t* rows, Mat<T> y);
// x[rows[r],:] += y[r,:]; rows may repeat.
template <class T>
void scatter_add_rows(CONCORD_DEVICE&, Mat<const T> y, const int32_t* rows, Mat<T> x);
// y = x with each element kept with probability 1 - p and divided by it, else 0 (Srivastava et al. 2014). Whether an element
// is kept depends on the key, its row's id and its column only. y may be x.
template <class T>
void dropout(CONCORD_DEVICE&, const Dropout&, Mat<const T> x, const uint64_t* row_ids, Mat<T> y);
// x[r,:] *= coef[r]
template <class T>
void scale_rows(CONCORD_DEVICE&, const Stat<T>* coef, Mat<T> x);
template <class T>
void fill(CONCORD_DEVICE&, Stat<T> value, Mat<T> x);
// y = x
template <class T>
void copy(CONCORD_DEVICE&, Mat<const T> x, Mat<T> y);
// y += x
template <class T>
void add(CONCORD_DEVICE&, Mat<const T> x, Mat<T> y);

// norms[i] = |W_i + s B_i A| from w, wa = W A^T and aa = A A^T: |W_i|^2 + 2 s B_i (A W_i) + s^2 B_i (A A^T) B_i^T.
template <class T>
void adapted_row_norms(CONCORD_DEVICE&, Mat<const T> w, Mat<const T> wa, Mat<const T> aa, Mat<const T> b, Stat<T> scaling,
                       Stat<T>* norms);
// gains[i] = magnitude[i] / norms[i], 0 where the norm is 0: such a row has no direction to scale.
template <class T>
void gains(CONCORD_DEVICE&, int64_t n, const T* magnitude, const T* norms, T* gains);
// y[t,i] = gain[i] (y[t,i] - bias[i]) + bias[i]; raw = y - bias where raw is not empty. bias may be null.
template <class T>
void apply_gains(CONCORD_DEVICE&, const Stat<T>* gain, const T* bias, Mat<T> y, Mat<T> raw);
// x[t,i] *= gain[i]
template <class T>
void scale_columns(CONCORD_DEVICE&, const Stat<T>* gain, Mat<T> x);
// dmagnitude[i] += sum over t of dy[t,i] raw[t,i] / norm[i], where the norm is not 0.
template <class T>
void add_magnitude_gradient(CONCORD_DEVICE&, Mat<const T> dy, Mat<const T> raw, const Stat<T>* norm, Stat<T>* dmagnitude);

// y = x, whole buffers; for T that does not hold a Stat<T> as it is.
template <class T>
void round(CONCORD_DEVICE&, int64_t n, const Stat<T>* x, T* y);
// One step of AdamW over n parameters and their two moments (formula: optim/adamw.h).
template <class T>
void adamw(CONCORD_DEVICE&, const AdamWStep<T>&, int64_t n, T* parameters, T* first, T* second, const T* grads);
// Added in double in a fixed order.
template <class T>
double sum_of_squares(CONCORD_DEVICE&, const T* x, int64_t n);

// out [rows, cols], dense, one row after another.
template <class T>
void dequantize(CONCORD_DEVICE&, const QuantizedView&, Mat<T> out);
