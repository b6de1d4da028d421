// LoRA (Hu et al. 2021): y = W x + s B (A x). Modules that read the same input share one product with their stacked A.
#pragma once

#include <string>
#include <vector>

#include "io/adapter.h"
#include "ops/ops.h"

namespace concord {

// The adapted modules of one fused linear layer, such as q, k and v. R is the sum of their ranks.
template <class T>
struct LoraLinear {
  struct Part {
    int64_t col_begin, col_end;    // of the fused output
    int64_t rank_begin, rank_end;  // of R
    Stat<T> scaling;
    Mat<T> b;                      // [out, r]
    Mat<Stat<T>> db;
    Stat<T>* dmagnitude = nullptr;  // DoRA (lora/dora.h), all [out]: gradient of m where it is trained,
    const Stat<T>* norm = nullptr;  // |W + s B A| of each row, and m over it
    const Stat<T>* gain = nullptr;
  };
  Mat<T> a;  // [R, in]
  Mat<Stat<T>> da;
  std::vector<Part> parts;

  int64_t ranks() const { return a.rows; }
  int64_t cols() const {  // of the fused output that it adapts
    int64_t n = 0;
    for (const Part& part : parts) n += part.col_end - part.col_begin;
    return n;
  }
  bool has_gains() const { return !parts.empty() && parts.front().gain; }
};

struct AdaptedModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t in, out, r;
  double scaling;
  int64_t layer;
  Projection projection;
  int64_t col_begin;           // of the projection's output
  int64_t a_offset, b_offset, magnitude_offset;  // into values and grads
  int64_t row_offset;          // into norms and gains
};

// Values and gradients are Stat<T>, as the optimizer has them, in the device's memory.
template <class Device, class T>
struct Lora {
  using Values = typename Device::template Buffer<Stat<T>>;
  struct Layer {
    LoraLinear<T> qkv, o, gate_up, down;

    LoraLinear<T>& of(Projection projection) {
      LoraLinear<T>* const all[] = {&qkv, &o, &gate_up, &down};
      return *all[static_cast<int>(projection)];
    }
    const LoraLinear<T>& of(Projection projection) const { return const_cast<Layer*>(this)->of(projection); }
  };
  int64_t id = 0;  // no other's in this process
  AdapterConfig config;
  std::vector<AdaptedModule> modules;
  std::vector<Layer> layers;
  Values values, grads;  // every A, B and magnitude; grads empty where not trained
  typename Device::template Buffer<T> rounded;  // the values as products read them; empty where that is as they are
  Values norms, gains;   // DoRA: of every adapted row, as refresh_gains left them
  bool gains_are_current = false;

  Lora() = default;
  Lora(Lora&&) = default;
  Lora& operator=(Lora&&) = default;
  Lora(const Lora&) = delete;  // layers point into values and grads
};

// Rows [begin, end) of a forward pass that this adapter changes. Rows in no range go through the base alone.
template <class Device, class T>
struct LoraRows {
  int64_t begin, end;
  const Lora<Device, T>* lora;
};

template <class Device, class T>
Lora<Device, T> make_lora(Device&, const ModelConfig& model, const Adapter& adapter, bool trainable);

// Due after every change of the values.
template <class Device, class T>
void round_values(Device&, Lora<Device, T>& lora);

// Largest sum of ranks of a fused layer: how wide the buffers of x A^T must be.
template <class Device, class T>
int64_t ranks_max(const Lora<Device, T>& lora);

// The same adapter as PEFT's file holds it.
Adapter to_adapter(const Lora<Cpu, float>& lora);

// PEFT's start: A ~ U(-1/sqrt(in), 1/sqrt(in)) (kaiming_uniform with a = sqrt 5), B = 0, so the first output is the base's.
void initialize_adapter(Adapter& adapter, int64_t seed);

// xa[T,R] = x A^T; y[:, part] = s xa[:, part] B^T + beta y[:, part]
template <class Device, class T>
void lora_forward(Device&, const LoraLinear<T>&, Mat<const T> x, Mat<T> xa, Stat<T> beta, Mat<T> y);
// dB += s dy^T xa; dA += dxa^T x with dxa = s dy B; dx = dxa A unless dx is empty. Where the adapter is not trained only dx.
template <class Device, class T>
void lora_backward(Device&, const LoraLinear<T>&, Mat<const T> x, Mat<const T> xa, Mat<const T> dy, Mat<T> dxa, Mat<T> dx);

}  // namespace concord
