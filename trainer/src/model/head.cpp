// The head: logits only at rows that predict a target, a chunk of rows at a time, never [all tokens, vocabulary].
#include "model/decoder.h"

namespace concord {

template <class T>
void Decoder<T>::logits(Mat<const T> hidden, Mat<T> out) {
  ops::matmul_nt<T>(cpu_, T(1), hidden, weights_.head, T(0), out);
  if (config_.final_softcap != 0) ops::soft_cap<T>(cpu_, static_cast<T>(config_.final_softcap), out);
}

// Gathers each chunk's hidden states and computes their logits; f(first row, hidden [C, H], logits [C, V]).
template <class T>
template <class F>
void Decoder<T>::for_head_chunks(const PackedBatch& batch, F&& f) {
  for (int64_t begin = 0; begin < batch.n_rows(); begin += head_chunk_rows_) {
    const int64_t rows = std::min(head_chunk_rows_, batch.n_rows() - begin);
    const Mat<T> hidden_rows = head_rows_.row_range(0, rows), chunk = logits_.row_range(0, rows);
    ops::gather_rows<T>(cpu_, hidden(), batch.rows.data() + begin, hidden_rows);
    logits(hidden_rows, chunk);
    f(begin, hidden_rows, chunk);
  }
}

template <class T>
void Decoder<T>::head_logps(const PackedBatch& batch, T* logp) {
  for_head_chunks(batch, [&](int64_t begin, Mat<T>, Mat<T> chunk) {
    ops::target_logps<T>(cpu_, chunk, batch.targets.data() + begin, logp + begin);
  });
}

template <class T>
void Decoder<T>::head_gradients(const PackedBatch& batch, const T* coef, T* logp, WeightViews<T>* grads) {
  ops::fill<T>(cpu_, T(0), top(delta_));
  for_head_chunks(batch, [&](int64_t begin, Mat<T> hidden_rows, Mat<T> chunk) {
    ops::target_logps_and_gradient<T>(cpu_, chunk, batch.targets.data() + begin, coef + begin, static_cast<T>(config_.final_softcap), logp + begin);
    if (grads) ops::matmul_tn<T>(cpu_, T(1), chunk, hidden_rows, T(1), grads->head);
    ops::matmul_nn<T>(cpu_, T(1), chunk, weights_.head, T(0), hidden_rows);
    ops::scatter_add_rows<T>(cpu_, hidden_rows, batch.rows.data() + begin, top(delta_));
  });
}

// d logp[r] / d hidden does not depend on the loss, only its factor does; so it is computed while the logits are there
// and scaled when the pair's other side is known.
template <class T>
void Decoder<T>::head_unit_gradients(const PackedBatch& batch, T* logp) {
  const std::vector<T> ones(head_chunk_rows_, T(1));
  for_head_chunks(batch, [&](int64_t begin, Mat<T>, Mat<T> chunk) {
    ops::target_logps_and_gradient<T>(cpu_, chunk, batch.targets.data() + begin, ones.data(), static_cast<T>(config_.final_softcap),
                                      logp + begin);
    ops::matmul_nn<T>(cpu_, T(1), chunk, weights_.head, T(0), unit_.row_range(begin, begin + chunk.rows));
  });
}

template <class T>
void Decoder<T>::head_apply_coef(const PackedBatch& batch, const T* coef) {
  const Mat<T> unit = unit_.row_range(0, batch.n_rows());
  ops::scale_rows<T>(cpu_, coef, unit);
  ops::fill<T>(cpu_, T(0), top(delta_));
  ops::scatter_add_rows<T>(cpu_, unit, batch.rows.data(), top(delta_));
}

#define CONCORD_INSTANTIATE(T)                                                                          \
  template void Decoder<T>::logits(Mat<const T>, Mat<T>);                                               \
  template void Decoder<T>::head_logps(const PackedBatch&, T*);                                         \
  template void Decoder<T>::head_gradients(const PackedBatch&, const T*, T*, WeightViews<T>*);          \
  template void Decoder<T>::head_unit_gradients(const PackedBatch&, T*);                                \
  template void Decoder<T>::head_apply_coef(const PackedBatch&, const T*);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord
