// concord-trainer train JOB.json: load, plan, loop, save. Reads top to bottom as a run goes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <new>
#include <numeric>
#include <optional>

#include "error.h"
#include "model/random.h"
#include "optim/schedule.h"
#include "run/commands.h"
#include "run/device.h"
#include "run/events.h"
#include "run/memory.h"
#include "run/reference.h"
#include "run/sha256.h"
#include "run/signals.h"
#include "run/trained_model.h"

namespace concord {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// What an evaluation found and what early stopping and the best model need of it; part of a checkpoint.
struct Best {
  double loss = INFINITY;
  int64_t step = 0;
  int64_t evals_since = 0;
};

// Order of groups in an epoch: a function of seed and epoch, so the data position of a checkpoint is its step number.
std::vector<int64_t> epoch_order(int64_t groups, const Job& job, int64_t epoch) {
  std::vector<int64_t> order(groups);
  std::iota(order.begin(), order.end(), int64_t{0});
  if (job.shuffle) Random(static_cast<uint64_t>(job.seed), static_cast<uint64_t>(epoch)).shuffle(order);
  return order;
}

class Run {
 public:
  explicit Run(const Job& job)
      : job_(job), cpu_(thread_count()), model_(job), max_length_(resolve_max_length()), train_(load(job.train_file)) {
    if (!job.eval_file.empty()) eval_ = load(job.eval_file);
    if (!job.reference_adapter.empty()) {
      reference_lora_ = make_lora<float>(model_.config, read_adapter(job.reference_adapter, model_.config), false);
    }
    const auto groups = static_cast<int64_t>(train_.groups.size());
    steps_per_epoch_ = (groups + job.groups_per_step - 1) / job.groups_per_step;
    total_steps_ = job.max_steps.value_or(
        static_cast<int64_t>(std::ceil(job.num_train_epochs * static_cast<double>(steps_per_epoch_))));
    schedule_ = make_schedule(job, total_steps_);
    plan_ = plan_memory(job, model_.config, memory_need(), available_memory_bytes());
  }

  int execute();

 private:
  bool dpo() const { return job_.objective == Objective::dpo; }
  int64_t resolve_max_length() const;
  Dataset load(const std::string& path) const;
  MemoryNeed memory_need() const;
  std::string checkpoint_to_resume() const;
  void allocate();
  void emit_start(EventLog& events);
  void prepare_references();
  void resume();
  int loop(EventLog& events);
  void train_step(EventLog& events);
  void evaluate(EventLog& events);
  void checkpoint(EventLog& events);
  bool stop_early() const;
  void finish(EventLog& events, const char* status);
  Json state_values() const;

  Job job_;
  Cpu cpu_;
  TrainedModel model_;
  int64_t max_length_;
  Dataset train_;
  std::optional<Dataset> eval_;
  std::optional<Lora<float>> reference_lora_;
  int64_t steps_per_epoch_ = 0, total_steps_ = 0;
  Schedule schedule_;
  MemoryPlan plan_;

  std::unique_ptr<Decoder<float>> decoder_;
  WeightViews<float> grads_;
  std::unique_ptr<StepRunner> runner_;
  ReferenceCache train_reference_, eval_reference_;
  std::string resumed_from_;
  int64_t step_ = 0;  // optimizer steps done
  Best best_;
  std::vector<int64_t> order_;
  int64_t order_epoch_ = -1;
  int64_t last_checkpoint_ = -1, last_eval_ = -1;
};

int64_t Run::resolve_max_length() const {
  const int64_t limit = model_.config.max_position_embeddings;
  if (job_.max_length > limit) {
    bad_input(job_.file + ": max_length " + std::to_string(job_.max_length) + " is more than the model's " +
              std::to_string(limit) + " (max_position_embeddings)");
  }
  return job_.max_length > 0 ? job_.max_length : limit;
}

Dataset Run::load(const std::string& path) const {
  return load_dataset(path, job_.objective, job_.truncation_mode, max_length_, model_.config.vocab_size);
}

MemoryNeed Run::memory_need() const {
  MemoryNeed need{model_.layout.elements, model_.trainable(), train_.largest_group_tokens, train_.longest_sequence_tokens,
                  model_.lora_ranks()};
  if (eval_) {
    need.largest_group_tokens = std::max(need.largest_group_tokens, eval_->largest_group_tokens);
    need.longest_sequence_tokens = std::max(need.longest_sequence_tokens, eval_->longest_sequence_tokens);
  }
  if (reference_lora_) need.lora_ranks = std::max(need.lora_ranks, ranks_max(*reference_lora_));
  return need;
}

std::string Run::checkpoint_to_resume() const {
  const std::string newest = path_exists(job_.output_dir) ? find_checkpoint(job_.output_dir) : "";
  if (job_.resume_from_checkpoint.empty()) {
    if (!newest.empty()) {
      bad_input(job_.output_dir + ": holds checkpoints of an earlier run; set resume_from_checkpoint to \"auto\" to go on "
                "with it, or choose another output_dir");
    }
    return "";
  }
  if (job_.resume_from_checkpoint == "auto") return newest;
  const std::string problem = checkpoint_problem(job_.resume_from_checkpoint);
  if (!problem.empty()) bad_input(job_.resume_from_checkpoint + ": cannot resume from it: " + problem);
  return job_.resume_from_checkpoint;
}

void Run::allocate() {
  model_.allocate_training_state(job_);
  decoder_ = std::make_unique<Decoder<float>>(cpu_, model_.config, model_.weights.data(), plan_.decoder);
  const bool full = job_.finetuning_type == FinetuningType::full;
  if (full) grads_ = weight_views<float>(model_.config, model_.weight_grads.data());
  runner_ = std::make_unique<StepRunner>(Trainee{decoder_.get(), model_.lora.get(), full ? &grads_ : nullptr}, job_,
                                         plan_.micro_batch_tokens);
}

int Run::execute() {
  const std::string from = checkpoint_to_resume();
  allocate();
  if (dpo()) {
    const std::string weights_hash =
        sha256_hex({reinterpret_cast<const char*>(model_.weights.data()), model_.weights.size() * sizeof(float)});
    const Lora<float>* lora = reference_lora_ ? &*reference_lora_ : nullptr;
    train_reference_ = find_reference(train_, job_.train_file, weights_hash, lora);
    if (eval_) eval_reference_ = find_reference(*eval_, job_.eval_file, weights_hash, lora);
  }
  EventLog events(job_.output_dir);
  try {
    resumed_from_ = from;
    emit_start(events);
    prepare_references();  // before resuming: full finetuning's reference is the base it started from
    if (!resumed_from_.empty()) resume();
    return loop(events);
  } catch (const Failure& failure) {
    events.emit("error", {{"code", failure.code}, {"message", failure.what()}, {"step", step_}});
    throw;
  }
}

void Run::emit_start(EventLog& events) {
  Json::Object fields = {{"job", job_json(job_)},
                         {"device", Json::Object{{"type", "cpu"}, {"threads", cpu_.threads()}}},
                         {"parameters", model_.layout.elements},
                         {"trainable_parameters", model_.trainable()},
                         {"memory", memory_json(plan_)},
                         {"max_length", max_length_},
                         {"steps_per_epoch", steps_per_epoch_},
                         {"total_steps", total_steps_},
                         {"train_data", report_json(train_.report)}};
  if (eval_) fields.emplace_back("eval_data", report_json(eval_->report));
  if (dpo()) {
    const std::string source = job_.reference_adapter.empty() ? "base" : job_.reference_adapter;
    fields.emplace_back("reference", Json::Object{{"source", source}, {"cache", train_reference_.hit ? "hit" : "miss"}});
  }
  if (!resumed_from_.empty()) fields.emplace_back("resumed_from", resumed_from_);
  events.emit("start", std::move(fields));
}

void Run::prepare_references() {
  if (!dpo()) return;
  const Lora<float>* lora = reference_lora_ ? &*reference_lora_ : nullptr;
  if (!train_reference_.hit) {
    std::fprintf(stderr, "computing reference log-probabilities of %lld groups\n", static_cast<long long>(train_.report.groups));
    compute_reference(train_reference_, train_, *decoder_, lora, plan_.micro_batch_tokens);
  }
  if (eval_ && !eval_reference_.hit) compute_reference(eval_reference_, *eval_, *decoder_, lora, plan_.micro_batch_tokens);
}

// What must not change between the two halves of a run, or its bytes would not be those of one run.
Json Run::state_values() const {
  Json values;
  values.set("step", step_);
  values.set("total_steps", total_steps_);
  values.set("steps_per_epoch", steps_per_epoch_);
  values.set("groups_per_step", job_.groups_per_step);
  values.set("seed", job_.seed);
  values.set("train_file_sha256", sha256_file_hex(job_.train_file));
  values.set("best_loss", std::isfinite(best_.loss) ? Json(best_.loss) : Json());
  values.set("best_step", best_.step);
  values.set("evals_since_best", best_.evals_since);
  return values;
}

void Run::resume() {
  const Json saved = model_.load_state(resumed_from_);
  const Json now = state_values();
  for (const char* key : {"total_steps", "steps_per_epoch", "groups_per_step", "seed", "train_file_sha256"}) {
    const Json* before = saved.find(key);
    if (!before || to_text(*before) != to_text(*now.find(key))) {
      bad_input(resumed_from_ + ": " + key + " differs from this job's; resume with the job that was stopped, or start anew");
    }
  }
  const JsonAt at{&saved, resumed_from_, ""};
  step_ = at["step"].integer(0, total_steps_);
  best_.step = at["best_step"].integer(0, total_steps_);
  best_.evals_since = at["evals_since_best"].integer(0, INT64_MAX);
  if (!at["best_loss"].is_null()) best_.loss = at["best_loss"].number(-1e300, 1e300);
  last_checkpoint_ = step_;
  std::fprintf(stderr, "resumed from %s at step %lld\n", resumed_from_.c_str(), static_cast<long long>(step_));
}

int Run::loop(EventLog& events) {
  const auto due = [&](const std::optional<int64_t>& every) { return every && step_ % *every == 0; };
  while (step_ < total_steps_) {
    train_step(events);
    if (eval_ && due(job_.eval_steps)) evaluate(events);
    if (due(job_.save_steps) && last_checkpoint_ != step_) checkpoint(events);
    if (pending_signal() != 0) {
      if (last_checkpoint_ != step_) checkpoint(events);
      events.emit("end", {{"status", "stopped"}, {"step", step_}, {"resumable", true}});
      events.sync();
      return signal_exit_code();
    }
    if (stop_early()) {
      finish(events, "stopped_early");
      return exit_done;
    }
  }
  if (eval_ && last_eval_ != step_) evaluate(events);
  finish(events, "done");
  return exit_done;
}

void Run::train_step(EventLog& events) {
  const auto start = Clock::now();
  const int64_t epoch = step_ / steps_per_epoch_;
  if (epoch != order_epoch_) {
    order_ = epoch_order(static_cast<int64_t>(train_.groups.size()), job_, epoch);
    order_epoch_ = epoch;
  }
  const int64_t first = step_ % steps_per_epoch_ * job_.groups_per_step;
  const int64_t last = std::min(first + job_.groups_per_step, static_cast<int64_t>(order_.size()));

  std::fill(model_.grads().begin(), model_.grads().end(), 0.0f);
  const StepStats stats = runner_->run(train_, std::span(order_).subspan(first, last - first), train_reference_.by_segment, true);
  const double norm = global_norm(cpu_, model_.grads().data(), model_.trainable());
  if (!std::isfinite(stats.loss) || !std::isfinite(norm)) {
    non_finite("the " + std::string(std::isfinite(stats.loss) ? "gradient" : "loss") + " became non-finite at step " +
               std::to_string(step_ + 1) + "; the last checkpoint is kept: lower learning_rate and resume or start anew");
  }
  const double rate = schedule_.rate(step_);
  adamw_step(cpu_, *model_.optimizer, model_.decay, rate, clip_factor(norm, job_.max_grad_norm), model_.parameters(),
             model_.grads().data());
  step_++;

  const double seconds = seconds_since(start);
  Json::Object fields = {{"step", step_},
                         {"epoch", static_cast<double>(step_) / static_cast<double>(steps_per_epoch_)},
                         {"loss", stats.loss},
                         {"learning_rate", rate},
                         {"grad_norm", norm},
                         {"tokens", stats.tokens},
                         {"tokens_per_second", static_cast<double>(stats.tokens) / seconds},
                         {"memory_bytes", peak_memory_bytes()}};
  stats.append_dpo(fields, "");
  events.emit("step", std::move(fields));
  std::fprintf(stderr, "step %lld/%lld loss %.4f %.0f tokens/s\n", static_cast<long long>(step_),
               static_cast<long long>(total_steps_), stats.loss, static_cast<double>(stats.tokens) / seconds);
}

void Run::evaluate(EventLog& events) {
  const auto start = Clock::now();
  const std::vector<int64_t> all = [&] {
    std::vector<int64_t> groups(eval_->groups.size());
    std::iota(groups.begin(), groups.end(), int64_t{0});
    return groups;
  }();
  const StepStats stats = runner_->run(*eval_, all, eval_reference_.by_segment, false);
  last_eval_ = step_;
  const double seconds = seconds_since(start);
  Json::Object fields = {{"step", step_},
                         {"epoch", static_cast<double>(step_) / static_cast<double>(steps_per_epoch_)},
                         {"eval_loss", stats.loss},
                         {"eval_tokens", stats.tokens},
                         {"eval_tokens_per_second", static_cast<double>(stats.tokens) / seconds}};
  stats.append_dpo(fields, "eval_");
  events.emit("eval", std::move(fields));
  if (stats.loss < best_.loss) {
    best_ = {stats.loss, step_, 0};
    if (job_.load_best_model_at_end) checkpoint(events);
  } else {
    best_.evals_since++;
  }
}

bool Run::stop_early() const {
  return job_.early_stopping_patience && best_.evals_since >= *job_.early_stopping_patience;
}

void Run::checkpoint(EventLog& events) {
  const std::string best = job_.load_best_model_at_end && best_.step > 0 ? "checkpoint-" + std::to_string(best_.step) : "";
  const std::string path = save_checkpoint(job_.output_dir, step_, job_.save_total_limit, best,
                                           [&](const std::string& dir) { model_.save_state(dir, state_values()); });
  last_checkpoint_ = step_;
  events.emit("checkpoint", {{"step", step_}, {"path", path}});
  events.sync();
}

void Run::finish(EventLog& events, const char* status) {
  if (job_.load_best_model_at_end && best_.step > 0 && best_.step != step_) {
    model_.load_parameters(join_path(job_.output_dir, "checkpoint-" + std::to_string(best_.step)));
  }
  const std::string folder = model_.save_result(job_.output_dir);
  Json::Object fields = {{"status", status}, {"step", step_}, {"best_step", best_.step > 0 ? Json(best_.step) : Json()}};
  fields.emplace_back(model_.lora ? "adapter" : "model", folder);
  events.emit("end", std::move(fields));
  events.sync();
}

}  // namespace

int run_train(const Job& job) {
  try {
    Run run(job);
    return run.execute();
  } catch (const std::bad_alloc&) {
    out_of_memory("out of memory while " + job.file + " was running; lower micro_batch_tokens or max_length");
  }
}

}  // namespace concord
