// The part of a run that its device does: steps, the optimizer, references. What is written to disk is the TrainedModel, on the host.
// defines: Engine, make_engine
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "run/memory.h"
#include "run/step.h"
#include "run/trained_model.h"

namespace concord {

class Engine {
 public:
  virtual ~Engine() = default;

  // As StepRunner::run; with `learn` the gradients are those of these groups alone, of all ranks' shares.
  virtual StepStats run(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn, int64_t step) = 0;
  virtual double gradient_norm() = 0;
  // One step of the optimizer with the gradients times `grad_scale`.
  virtual void update(double learning_rate, double grad_scale) = 0;
  // Log-probabilities of a batch's rows under the reference.
  virtual void score_reference(const PackedBatch& batch, std::vector<float>& logps) = 0;

  // The model gets the parameters and moments as they are now, or gives its own, which a checkpoint has changed.
  virtual void store() = 0;
  virtual void take_over() = 0;

  virtual Json description() const = 0;      // of the start event
  virtual int64_t memory_bytes() const = 0;  // in use at the most: by this process on the CPU, by all of them on a GPU
};

// Names how a device computes, in the keys of caches: changes whenever its numbers for the same input may.
const char* numerics_of(const DeviceChoice& device);

// `reference` null: the base with the adapter off. A GPU takes what it needs of the model, and reads a base that is not trained from its
// files. Throws std::bad_alloc.
std::unique_ptr<Engine> make_engine(const Job& job, Cpu& cpu, TrainedModel& model, const MemoryPlan& plan, const std::optional<Adapter>& reference,
                                    Communicator& ranks = Communicator::alone());

}  // namespace concord
