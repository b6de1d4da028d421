// Keys and values of prompts, which all samples of a group share, and of each sample's own tokens.
#pragma once

#include <algorithm>
#include <memory>
#include <span>

#include "model/weights.h"

namespace concord {

template <class T>
class KvCache {
 public:
  // `own_tokens` of every sample; sample s owns rows [s * own_tokens, (s + 1) * own_tokens).
  KvCache(const ModelConfig& config, int64_t prompt_tokens, int64_t samples, int64_t own_tokens)
      : shape_(attention_shape(config)),
        prompt_rows_(prompt_tokens),
        own_rows_(samples * own_tokens),
        prompt_(std::make_unique_for_overwrite<T[]>(config.num_hidden_layers * prompt_rows_ * row_size())),
        own_(std::make_unique_for_overwrite<T[]>(config.num_hidden_layers * own_rows_ * row_size())) {}

  static int64_t bytes_per_token(const ModelConfig& config) {
    return config.num_hidden_layers * 2 * attention_shape(config).kv_cols() * static_cast<int64_t>(sizeof(T));
  }

  Mat<T> prompt(int64_t layer) { return {prompt_.get() + layer * prompt_rows_ * row_size(), prompt_rows_, row_size()}; }
  Mat<T> own(int64_t layer) { return {own_.get() + layer * own_rows_ * row_size(), own_rows_, row_size()}; }

  // Row i of rotated qkv becomes row rows[i] of `to`.
  void keep(Mat<const T> qkv, std::span<const int64_t> rows, Mat<T> to) const {
    for (size_t i = 0; i < rows.size(); i++) {
      const T* kv = qkv.row(static_cast<int64_t>(i)) + shape_.q_cols();
      std::copy(kv, kv + row_size(), to.row(rows[i]));
    }
  }

 private:
  int64_t row_size() const { return 2 * shape_.kv_cols(); }

  AttentionShape shape_;
  int64_t prompt_rows_, own_rows_;
  std::unique_ptr<T[]> prompt_, own_;  // [layers, rows, 2 kv_cols]; a row is written before it is read
};

}  // namespace concord
