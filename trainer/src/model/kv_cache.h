// Keys and values of tokens in flight. A prompt's rows are there once for all of its samples; each sample has rows of its
// own behind them.
// defines: KvCache, RowPool
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "model/weights.h"

namespace concord {

template <class T>
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t rows)
      : shape_(attention_shape(config)),
        rows_(rows),
        values_(std::make_unique_for_overwrite<T[]>(config.num_hidden_layers * rows_ * row_size())) {}

  static int64_t bytes_per_row(const ModelConfig& config) {
    return config.num_hidden_layers * 2 * attention_shape(config).kv_cols() * static_cast<int64_t>(sizeof(T));
  }

  Mat<T> layer(int64_t l) { return {values_.get() + l * rows_ * row_size(), rows_, row_size()}; }

  // Row i of rotated qkv becomes row rows[i] of the layer.
  void keep(int64_t l, Mat<const T> qkv, std::span<const int64_t> rows) {
    const Mat<T> to = layer(l);
    for (size_t i = 0; i < rows.size(); i++) {
      const T* kv = qkv.row(static_cast<int64_t>(i)) + shape_.q_cols();
      std::copy(kv, kv + row_size(), to.row(rows[i]));
    }
  }

 private:
  int64_t row_size() const { return 2 * shape_.kv_cols(); }

  AttentionShape shape_;
  int64_t rows_;
  std::unique_ptr<T[]> values_;  // [layers, rows, 2 kv_cols]; a row is written before it is read
};

// Which rows of a cache are taken: ranges, each from the first gap that is wide enough.
class RowPool {
 public:
  explicit RowPool(int64_t rows) { gaps_[0] = rows; }

  // The first of `rows` rows in a range, or nothing where no gap holds them.
  std::optional<int64_t> take(int64_t rows) {
    for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
      const auto [begin, width] = *gap;
      if (width < rows) continue;
      gaps_.erase(gap);
      if (width > rows) gaps_[begin + rows] = width - rows;
      return begin;
    }
    return std::nullopt;
  }

  // Gives a range back; it joins the gaps beside it.
  void give_back(int64_t begin, int64_t rows) {
    auto after = gaps_.lower_bound(begin);
    if (after != gaps_.end() && after->first == begin + rows) {
      rows += after->second;
      after = gaps_.erase(after);
    }
    if (after != gaps_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == begin) {
        before->second += rows;
        return;
      }
    }
    gaps_[begin] = rows;
  }

 private:
  std::map<int64_t, int64_t> gaps_;  // begin -> width, none of width 0
};

}  // namespace concord
