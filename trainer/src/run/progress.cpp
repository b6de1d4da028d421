#include "run/progress.h"

#include <algorithm>

#include "error.h"

namespace concord {
namespace {

// Where the files lie and how the work is cut and kept may change between two halves of a run; what is trained may not.
constexpr std::string_view may_change[] = {"model_name_or_path", "train_file", "eval_file", "output_dir", "adapter_name_or_path",
                                           "reference_adapter", "micro_batch_tokens", "gradient_checkpointing", "save_steps",
                                           "save_total_limit", "resume_from_checkpoint"};

Json identity(const Job& job, const RunExtent& extent) {
  Json all = job_json(job);
  auto& members = std::get<Json::Object>(all.value);
  std::erase_if(members, [&](const auto& member) {
    if (member.first == "device") return true;
    return std::find(std::begin(may_change), std::end(may_change), member.first) != std::end(may_change);
  });
  if (job.device.cuda) all.set("device", "cuda");  // whichever; the CPU is what checkpoints without that word are of
  all.set("total_steps", extent.total_steps);
  all.set("steps_per_epoch", extent.steps_per_epoch);
  all.set("train_file_sha256", extent.train_file_sha256);
  all.set("reference_key", extent.reference_key);
  return all;
}

}  // namespace

Json progress_json(const Progress& progress, const Job& job, const RunExtent& extent) {
  Json json;
  json.set("step", progress.step);
  json.set("last_eval", progress.last_eval);
  json.set("best_loss", std::isfinite(progress.best_loss) ? Json(progress.best_loss) : Json());
  json.set("best_step", progress.best_step);
  json.set("evals_since_best", progress.evals_since_best);
  json.set("run", identity(job, extent));
  return json;
}

Progress read_progress(const Json& saved, const std::string& checkpoint, const Job& job, const RunExtent& extent) {
  const JsonAt at{&saved, checkpoint, ""};
  const Json now = identity(job, extent);
  (void)at["run"].object();
  for (const auto& [key, value] : now.object()) {
    const Json* before = at["run"].json->find(key);
    if (before && to_text(*before) == to_text(value)) continue;
    bad_input(checkpoint + ": " + key + " differs from this job's; resume with the job that was stopped, or start anew");
  }
  Progress progress;
  progress.step = at["step"].integer(0, extent.total_steps);
  progress.last_eval = at["last_eval"].integer(-1, extent.total_steps);
  if (!at["best_loss"].is_null()) progress.best_loss = at["best_loss"].number(-1e300, 1e300);
  progress.best_step = at["best_step"].integer(0, extent.total_steps);
  progress.evals_since_best = at["evals_since_best"].integer(0, INT64_MAX);
  return progress;
}

}  // namespace concord
