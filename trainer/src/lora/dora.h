// DoRA (Liu et al. 2024): y = g (W x + s B A x) + bias with g = m / |W + s B A|, a norm for each row of the adapted weight.
// In gradients the norm is a constant (section 4.3 of the paper; PEFT detaches it).
#pragma once

#include "lora/lora.h"
#include "model/weights.h"

namespace concord {

// |W + s B A| of every row without forming B A (formula: ops/signatures.h).
template <class Device, class T>
void adapted_row_norms(Device&, Mat<const T> w, Stat<T> scaling, Mat<const T> a, Mat<const T> b, Stat<T>* norms);

// Norms and gains of every adapted row as A, B and m are now. Due after each of their changes, before a forward pass;
// does nothing without DoRA.
template <class Device, class T>
void refresh_gains(Device&, const WeightViews<const T>& base, Lora<Device, T>&);

// m = |W + s B A|, so that a new adapter is its base to the bit. Refreshes the gains too.
template <class Device, class T>
void start_magnitudes(Device&, const WeightViews<const T>& base, Lora<Device, T>&);

// y = g (y - bias) + bias in the adapted columns. Keeps y - bias in `raw`, which the backward pass reads, unless that is empty.
template <class Device, class T>
void dora_forward(Device&, const LoraLinear<T>&, const T* bias, Mat<T> y, Mat<T> raw);

// draw = g dy, all columns; dm += sum over rows of dy raw / norm where m is trained.
template <class Device, class T>
void dora_backward(Device&, const LoraLinear<T>&, Mat<const T> dy, Mat<const T> raw, Mat<T> draw);

}  // namespace concord
