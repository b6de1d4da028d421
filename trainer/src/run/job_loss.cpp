#include "run/job_loss.h"

#include "run/job_values.h"

namespace concord {
namespace {

// Which keys a loss reads, beyond beta.
std::vector<const char*> options_of(const LossSpec& loss, bool used) {
  std::vector<const char*> names;
  const auto option = [&](bool reads, const char* name) {
    if (reads == used) names.push_back(name);
  };
  option(loss.reference, "reference_adapter");
  option(loss.label_smoothing, "label_smoothing");
  option(loss.rpo_alpha, "rpo_alpha");
  option(loss.simpo_gamma, "simpo_gamma");
  option(loss.discopop_tau, "discopop_tau");
  option(loss.vote_weights, "desirable_weight");
  option(loss.vote_weights, "undesirable_weight");
  return names;
}

LossType loss_type_of(const JsonAt& at) {
  std::vector<std::pair<const char*, LossType>> known;
  for (const LossSpec& spec : loss_specs()) known.emplace_back(spec.name, spec.type);
  return choice(at, known);
}

void read_label_smoothing(const JsonAt& at, LossOptions& loss) {
  read(at, loss.label_smoothing, 0, 0.5);
  if (loss.type == LossType::robust) require_below(at, loss.label_smoothing, 0.5);  // its formula divides by 1 - 2e
  if (loss.type == LossType::exo_pair && loss.label_smoothing == 0)
    at.refuse("must be greater than 0 for loss_type exo_pair, which takes its logarithm; such as 1e-3");
}

// A dropout mask would change the policy's log-probabilities and not the reference's, or those of one completion and not of the
// other, and the difference would be trained on.
void refuse_dropout(const JsonAt& at) {
  if (given(at) && at.number(0, 0.99) > 0)
    at.refuse("must be 0 for objective dpo: its losses compare log-probabilities, which dropout makes noise of");
}

}  // namespace

void read_loss(const JsonAt& at, Job& job) {
  job.objective = choice<Objective>(at["objective"], {{"sft", Objective::sft}, {"dpo", Objective::dpo}});
  if (job.objective == Objective::sft) {
    refuse_unused(at, "by objective sft",
                  {"loss_type", "beta", "label_smoothing", "reference_adapter", "rpo_alpha", "simpo_gamma", "desirable_weight",
                   "undesirable_weight", "discopop_tau"});
    return;
  }
  LossOptions& loss = job.loss;
  if (at["loss_type"]) loss.type = loss_type_of(at["loss_type"]);
  const LossSpec& spec = loss_spec(loss.type);
  refuse_unused(at, std::string("by loss_type ") + spec.name, options_of(spec, false));
  refuse_dropout(at["lora_dropout"]);
  read(at["beta"], loss.beta, 0, 1000);
  require_above(at["beta"], loss.beta, 0);
  read_label_smoothing(at["label_smoothing"], loss);
  if (given(at["rpo_alpha"])) loss.rpo_alpha = at["rpo_alpha"].number(0, 1e6);
  read(at["simpo_gamma"], loss.simpo_gamma, 0, 1000);
  read(at["discopop_tau"], loss.discopop_tau, 0, 1000);
  require_above(at["discopop_tau"], loss.discopop_tau, 0);
  read(at["desirable_weight"], loss.desirable_weight, 0, 1e6);
  read(at["undesirable_weight"], loss.undesirable_weight, 0, 1e6);
  if (loss.desirable_weight == 0 && loss.undesirable_weight == 0)
    at["desirable_weight"].refuse("and undesirable_weight are both 0, so nothing would be learned");
}

void add_loss(const Job& job, Json& out) {
  if (job.objective == Objective::sft) return;
  const LossSpec& spec = loss_spec(job.loss.type);
  out.set("loss_type", spec.name);
  out.set("beta", job.loss.beta);
  for (const std::string name : options_of(spec, true)) {
    if (name == "reference_adapter") out.set(name, job.reference_adapter.empty() ? Json() : Json(job.reference_adapter));
    if (name == "label_smoothing") out.set(name, job.loss.label_smoothing);
    if (name == "rpo_alpha") out.set(name, job.loss.rpo_alpha ? Json(*job.loss.rpo_alpha) : Json());
    if (name == "simpo_gamma") out.set(name, job.loss.simpo_gamma);
    if (name == "discopop_tau") out.set(name, job.loss.discopop_tau);
    if (name == "desirable_weight") out.set(name, job.loss.desirable_weight);
    if (name == "undesirable_weight") out.set(name, job.loss.undesirable_weight);
  }
}

}  // namespace concord
