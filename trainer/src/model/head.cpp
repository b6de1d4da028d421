// The head: logits only at rows that predict a target, a chunk of rows at a time, never [all tokens, vocabulary].
#include "model/decoder.h"

namespace concord {

template <class Device, class T>
void Decoder<Device, T>::logits(Mat<const T> hidden, Mat<Stat<T>> out) {
  ops::matmul_nt<T>(device_, 1, hidden, weights_.head, 0, out);
  if (config_.final_softcap != 0) ops::soft_cap<T>(device_, final_softcap(), out);
}

template <class Device, class T>
Mat<Stat<T>> Decoder<Device, T>::logits_after(std::span<const int32_t> rows) {
  const auto n = static_cast<int64_t>(rows.size());
  const Mat<T> hidden_rows = b_.head_rows.row_range(0, n);
  const Mat<Stat<T>> out = b_.logits.row_range(0, n);
  ops::gather_rows<T>(device_, hidden(), device_.place(rows, b_.rows).data(), hidden_rows);
  logits(hidden_rows, out);
  return out;
}

// Gathers each chunk's hidden states and computes their logits; f(first row, hidden [C, H], logits [C, V]).
template <class Device, class T>
template <class F>
void Decoder<Device, T>::for_head_chunks(F&& f) {
  for (int64_t begin = 0; begin < batch_.rows; begin += b_.head_chunk) {
    const int64_t rows = std::min(b_.head_chunk, batch_.rows - begin);
    const Mat<T> hidden_rows = b_.head_rows.row_range(0, rows);
    const Mat<Stat<T>> chunk = b_.logits.row_range(0, rows);
    ops::gather_rows<T>(device_, hidden(), batch_.head_rows + begin, hidden_rows);
    logits(hidden_rows, chunk);
    f(begin, hidden_rows, chunk);
  }
}

template <class Device, class T>
void Decoder<Device, T>::head_logps(Stat<T>* logp) {
  Stat<T>* const to = device_.landing(logp, b_.logps);
  for_head_chunks([&](int64_t begin, Mat<T>, Mat<Stat<T>> chunk) {
    ops::target_logps<T>(device_, chunk, batch_.targets + begin, to + begin);
  });
  device_.fetch(to, logp, batch_.rows);
}

template <class Device, class T>
void Decoder<Device, T>::head_gradients(const Stat<T>* coef, Stat<T>* logp, Grads* grads) {
  Stat<T>* const to = device_.landing(logp, b_.logps);
  const Stat<T>* const factors = device_.place(std::span(coef, batch_.rows), b_.coef).data();
  ops::fill<T>(device_, 0, top(b_.delta));
  for_head_chunks([&](int64_t begin, Mat<T> hidden_rows, Mat<Stat<T>> chunk) {
    const Mat<T> gradient = in_place_of<T>(chunk);
    ops::target_logps_and_gradient<T>(device_, chunk, batch_.targets + begin, factors + begin, final_softcap(), to + begin, gradient);
    if (grads) ops::matmul_tn<T>(device_, 1, gradient, hidden_rows, 1, grads->head);
    ops::matmul_nn<T>(device_, 1, gradient, weights_.head, 0, hidden_rows);
    ops::scatter_add_rows<T>(device_, hidden_rows, batch_.head_rows + begin, top(b_.delta));
  });
  device_.fetch(to, logp, batch_.rows);
}

// d logp[r] / d hidden does not depend on the loss, only its factor does; so it is computed while the logits are there
// and scaled when the pair's other side is known.
template <class Device, class T>
void Decoder<Device, T>::head_unit_gradients(Stat<T>* logp) {
  Stat<T>* const to = device_.landing(logp, b_.logps);
  const std::vector<Stat<T>> ones(b_.head_chunk, 1);
  const Stat<T>* const factors = device_.place(std::span(ones), b_.coef).data();
  for_head_chunks([&](int64_t begin, Mat<T>, Mat<Stat<T>> chunk) {
    const Mat<T> gradient = in_place_of<T>(chunk);
    ops::target_logps_and_gradient<T>(device_, chunk, batch_.targets + begin, factors, final_softcap(), to + begin, gradient);
    ops::matmul_nn<T>(device_, 1, gradient, weights_.head, 0, b_.unit.row_range(begin, begin + chunk.rows));
  });
  device_.fetch(to, logp, batch_.rows);
}

template <class Device, class T>
void Decoder<Device, T>::head_apply_coef(const Stat<T>* coef) {
  const Mat<T> unit = b_.unit.row_range(0, batch_.rows);
  ops::scale_rows<T>(device_, device_.place(std::span(coef, batch_.rows), b_.coef).data(), unit);
  ops::fill<T>(device_, 0, top(b_.delta));
  ops::scatter_add_rows<T>(device_, unit, batch_.head_rows, top(b_.delta));
}

#define CONCORD_INSTANTIATE(Device, T)                                                         \
  template Mat<Stat<T>> Decoder<Device, T>::logits_after(std::span<const int32_t>);            \
  template void Decoder<Device, T>::head_logps(Stat<T>*);                                      \
  template void Decoder<Device, T>::head_gradients(const Stat<T>*, Stat<T>*, Grads*);          \
  template void Decoder<Device, T>::head_unit_gradients(Stat<T>*);                             \
  template void Decoder<Device, T>::head_apply_coef(const Stat<T>*);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
