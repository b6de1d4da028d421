// Keys and values of tokens in flight. A prompt's rows are there once for all of its samples; each sample has rows of its
// own behind them.
// defines: KvCache, RowPool
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/weights.h"

namespace concord {

template <class Device, class T>
class KvCache {
 public:
  // Throws std::bad_alloc, as place() does.
  KvCache(Device& device, const ModelConfig& config, int64_t rows)
      : device_(device), shape_(attention_shape(config)), rows_(rows), values_(device.allocate(rows * bytes_per_row(config))) {}

  static int64_t bytes_per_row(const ModelConfig& config) {
    return config.num_hidden_layers * 2 * attention_shape(config).kv_cols() * static_cast<int64_t>(sizeof(T));
  }

  // That so many bytes hold; rows are numbered in 32 bits.
  static int64_t rows_in(const ModelConfig& config, int64_t bytes) { return std::min<int64_t>(bytes / bytes_per_row(config), INT32_MAX); }

  // Of the next pass: row i's keys and values go to rows[i] of every layer, and it sees segments[i], or nothing of the cache where there are
  // none. Both outlive the pass.
  void place(std::span<const int32_t> rows, std::span<const CachedSegment> segments = {}) {
    placed_rows_ = copied(rows, rows_copy_).data();
    if constexpr (Device::has_host_memory) {
      view_ = {segments, {}, {}};  // which is all that the CPU reads
    } else {
      lists_.set(segments, shape_.heads / shape_.kv_heads);
      const CachedView view = lists_.view();
      view_ = {copied(view.segments, segments_copy_), copied(view.tiles, tiles_copy_), copied(view.parts, parts_copy_)};
      found_.resize(lists_.n_parts() * shape_.heads * (shape_.head_dim + 1));
    }
  }

  // What the launches of keep() and attend() depend on, but for qkv and out: where the lists lie and how long they are.
  std::vector<int64_t> launch_key() const {
    const auto address = [](const void* p) { return static_cast<int64_t>(reinterpret_cast<intptr_t>(p)); };
    return {address(placed_rows_), address(view_.segments.data()), std::ssize(view_.segments), address(view_.tiles.data()), std::ssize(view_.tiles),
            address(view_.parts.data()), std::ssize(view_.parts), address(found_.data())};
  }

  // Keeps the keys and values of rotated qkv.
  void keep(int64_t l, Mat<const T> qkv) {
    ops::put_rows<T>(device_, qkv.col_range(shape_.q_cols(), shape_.qkv_cols()), placed_rows_, layer(l));
  }
  // out[t] = attention of qkv's row t over what it sees of the layer.
  void attend(int64_t l, Mat<const T> qkv, const AttentionRule& rule, Mat<T> out) {
    const Mat<Stat<T>> found(found_.data(), std::ssize(found_) / (shape_.head_dim + 1), shape_.head_dim + 1);
    ops::cached_attention<T>(device_, qkv, shape_, rule, layer(l), view_, out, found);
  }

 private:
  template <class V>
  using Buffer = typename Device::template Buffer<V>;
  // Where the device reads it.
  template <class V>
  std::span<const V> copied(std::span<const V> host, Buffer<V>& copy) {
    if (!Device::has_host_memory) copy.resize(static_cast<int64_t>(host.size()));
    return device_.place(host, copy.data());
  }
  int64_t row_size() const { return 2 * shape_.kv_cols(); }
  Mat<T> layer(int64_t l) { return {reinterpret_cast<T*>(values_.get()) + l * rows_ * row_size(), rows_, row_size()}; }

  Device& device_;
  AttentionShape shape_;
  int64_t rows_;
  typename Device::Memory values_;  // [layers, rows, 2 kv_cols]; a row is written before it is read
  CachedLists lists_;
  CachedView view_;
  const int32_t* placed_rows_ = nullptr;
  Buffer<int32_t> rows_copy_;
  Buffer<CachedSegment> segments_copy_;
  Buffer<CachedTile> tiles_copy_;
  Buffer<IndexRange> parts_copy_;
  Buffer<Stat<T>> found_;  // scratch of cached attention
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
