#include "run/agreement.h"

#include "error.h"
#include "run/sha256.h"

namespace concord {
namespace {

std::string hash_of(std::span<const float> values) { return sha256_hex({reinterpret_cast<const char*>(values.data()), values.size_bytes()}); }

// Of objects with the same keys.
void require_same(Communicator& ranks, const char* what, const Json& mine) {
  if (ranks.size() == 1) return;
  const std::vector<std::string> all = ranks.gather(to_text(mine));
  for (size_t r = 1; r < all.size(); r++) {
    const Json theirs = parse_json(all[r], "rank " + std::to_string(r));
    for (const auto& [key, value] : mine.object()) {
      const Json* other = theirs.find(key);
      const std::string there = other ? to_text(*other) : "absent", here = to_text(value);
      if (there != here)
        bad_input("the ranks differ in " + std::string(what) + ": " + key + " is " + there + " at rank " + std::to_string(r) + " and " + here + " at rank 0");
    }
  }
}

}  // namespace

void require_same_job(Communicator& ranks, const Job& job) {
  Json same = job_json(job);
  same.set("device", job.device.cuda ? "cuda" : "cpu");  // each has a GPU of its own
  require_same(ranks, "their job", same);
}

void require_same_data(Communicator& ranks, const Job& job, const TrainedModel& model, const std::string& train_file_sha256) {
  if (ranks.size() == 1) return;
  require_same(ranks, "the files they read (SHA-256)",
               Json::Object{{"config.json", model.config_json},
                            {"train_file", train_file_sha256},
                            {"eval_file", job.eval_file.empty() ? "" : sha256_file_hex(job.eval_file)},
                            {"the base's weights", model.base_sample},
                            {"the adapter", model.lora ? hash_of(model.lora->values) : ""}});
}

void require_same_parameters(Communicator& ranks, TrainedModel& model, int64_t step) {
  if (ranks.size() == 1) return;
  const std::string hash = hash_of({model.parameters(), static_cast<size_t>(model.trainable())});
  require_same(ranks, "what they trained; run all on the same kind of processor (SHA-256)", Json::Object{{"step", step}, {"parameters", hash}});
}

void share_state(Communicator& ranks, TrainedModel& model) {
  ranks.broadcast(std::span(model.parameters(), static_cast<size_t>(model.trainable())));
  ranks.broadcast(std::span(model.optimizer->m));
  ranks.broadcast(std::span(model.optimizer->v));
  ranks.broadcast(std::span(&model.optimizer->steps, 1));
}

void share_reference(Communicator& ranks, ReferenceCache& cache, const Dataset& data) {
  ranks.broadcast(cache.key);
  ranks.broadcast(std::span(&cache.hit, 1));
  if (!cache.hit) return;
  cache.logps.by_segment.resize(static_cast<size_t>(data.file->n_segments()));
  cache.logps.mismatched.resize(data.groups.size());
  ranks.broadcast(std::span(cache.logps.by_segment));
  ranks.broadcast(std::span(cache.logps.mismatched));
}

}  // namespace concord
