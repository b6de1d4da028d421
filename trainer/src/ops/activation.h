#pragma once

namespace concord {

// Of the gate in a gated MLP: silu(x) = x sigmoid(x); gelu_tanh, the tanh form of gelu (Hendrycks & Gimpel 2016).
enum class Activation { silu, gelu_tanh };

}  // namespace concord
