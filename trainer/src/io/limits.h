// Every limit of the trainer in one place; each has a test. Units stand last in the names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace concord::limits {

inline constexpr int json_depth_max = 16;
inline constexpr size_t config_bytes_max = 1 << 20;         // config.json, adapter_config.json, a job
inline constexpr size_t index_bytes_max = 8 << 20;          // model.safetensors.index.json
inline constexpr size_t header_bytes_max = 8 << 20;         // safetensors header
inline constexpr size_t metadata_bytes_max = 64 << 10;      // its __metadata__
inline constexpr size_t tensors_max = 20'000;               // per file
inline constexpr size_t dims_max = 8;
inline constexpr size_t shards_max = 1'000;

inline constexpr int64_t hidden_size_max = 16'384;
inline constexpr int64_t intermediate_size_max = 131'072;
inline constexpr int64_t layers_max = 256;
inline constexpr int64_t heads_max = 1'024;
inline constexpr int64_t head_dim_max = 1'024;
inline constexpr int64_t vocab_size_max = 1'000'000;
inline constexpr int64_t positions_max = 16'777'216;
inline constexpr int64_t rank_max = 1'024;
inline constexpr int64_t return_sequences_max = 1'024;

inline constexpr size_t request_bytes_max = 4 << 20;        // a line that serve reads
inline constexpr size_t name_bytes_max = 128;               // an id or an adapter's name in it
inline constexpr size_t requests_max = 256;                 // of serve, in flight together
inline constexpr size_t adapters_max = 64;                  // that serve holds

}  // namespace concord::limits
