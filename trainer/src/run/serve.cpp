// concord-trainer serve: a base that stays loaded, and requests as JSON lines (README, "Serve"). What is in flight advances
// together, each request with its own adapter; one that is wrong gets an error and disturbs no other.
#include <algorithm>
#include <cstdio>
#include <map>
#include <new>

#include "error.h"
#include "io/limits.h"
#include "run/commands.h"
#include "run/generator.h"
#include "run/line_channel.h"
#include "run/loaded_model.h"
#include "run/memory.h"
#include "run/on_device.h"
#include "run/serve_request.h"
#include "run/signals.h"
#include "run/stop_tokens.h"

namespace concord {
namespace {

constexpr int kPatience = 1'000;  // milliseconds that a reader may take nothing while the last lines are written

struct InFlight {
  std::string id;
  bool stream;
  int64_t prompt_tokens, completion_tokens = 0, samples_left;
  std::vector<Json::Array> samples;  // what each has said
};

template <class Device, class T>
class Server {
 public:
  Server(LineChannel& channel, Device& device, const ServeArgs& args);
  int run();

 private:
  GeneratorLimits limits(const ServeArgs& args) const;
  void say(std::string_view event, Json::Object fields);
  void say_error(Json id, const std::string& code, const std::string& message);
  void say_ready();
  void handle(const LineChannel::Line& line);
  void handle(ServeRequest request);
  void handle(const std::string& id, GenerateOp& op);
  void handle(const std::string& id, CancelOp&);
  void handle(const std::string& id, LoadOp& op);
  void handle(const std::string& id, UnloadOp& op);
  void step();
  void take(const SampledToken& sampled);
  void end_request(uint64_t name, const char* status);
  int end(const char* status, int exit_code);

  LineChannel& channel_;
  Device& device_;
  LoadedModel<Device, T> model_;
  std::vector<int64_t> stop_;
  GeneratorLimits limits_;
  Generator<Device, T> generator_;
  std::map<std::string, std::shared_ptr<const Lora<Device, T>>> adapters_;
  std::map<uint64_t, InFlight> in_flight_;
};

template <class Device, class T>
Server<Device, T>::Server(LineChannel& channel, Device& device, const ServeArgs& args)
    : channel_(channel),
      device_(device),
      model_(load_model<Device, T>(device, args.model, "", args.quantization)),
      stop_(model_stop_tokens(args.model, model_.config)),
      limits_(limits(args)),
      generator_(device, model_.config, model_.base(), limits_) {}

template <class Device, class T>
GeneratorLimits Server<Device, T>::limits(const ServeArgs& args) const {
  const int64_t row_bytes = KvCache<Device, T>::bytes_per_row(model_.config), available = available_memory_bytes(device_);
  GeneratorLimits limits;
  limits.samples = args.max_num_seqs;
  limits.cache_rows = args.cache_tokens.value_or(std::max<int64_t>(1, KvCache<Device, T>::rows_in(model_.config, std::min(Device::kCacheBytes, available / 2))));
  if (limits.cache_rows > available / row_bytes) {
    out_of_memory("--cache-tokens " + std::to_string(limits.cache_rows) + " needs " + std::to_string(limits.cache_rows * row_bytes >> 20) +
                  " MB and " + std::to_string(available >> 20) + " MB are free; " + std::to_string(available / row_bytes) + " would fit");
  }
  limits.positions = std::min(model_.config.max_position_embeddings, limits.cache_rows);
  limits.prompt_tokens = std::min(Device::kMicroBatchTokens, limits.positions);
  return limits;
}

template <class Device, class T>
void Server<Device, T>::say(std::string_view event, Json::Object fields) {
  fields.insert(fields.begin(), {"event", event});
  channel_.write(to_text(Json(std::move(fields))));
}

template <class Device, class T>
void Server<Device, T>::say_error(Json id, const std::string& code, const std::string& message) {
  say("error", {{"id", std::move(id)}, {"code", code}, {"message", message}});
}

template <class Device, class T>
void Server<Device, T>::say_ready() {
  const ModelConfig& c = model_.config;
  say("ready", {{"model_type", c.model_type},
                {"parameters", weight_layout(model_.config).elements},
                {"vocab_size", c.vocab_size},
                {"max_position_embeddings", c.max_position_embeddings},
                {"stop", Json::Array(stop_.begin(), stop_.end())},
                {"limits", Json::Object{{"cache_tokens", limits_.cache_rows},
                                        {"max_num_seqs", limits_.samples},
                                        {"requests", limits::requests_max},
                                        {"adapters", limits::adapters_max},
                                        {"request_bytes", limits::request_bytes_max}}}});
}

template <class Device, class T>
int Server<Device, T>::run() {
  say_ready();
  for (;;) {
    const bool works = !generator_.idle() && !channel_.congested();
    channel_.wait(!works);
    if (pending_signal() != 0) return end("stopped", signal_exit_code(pending_signal()));
    if (channel_.out_closed()) return exit_done;
    while (!channel_.congested()) {
      const auto line = channel_.next_line();
      if (!line) break;
      handle(*line);
    }
    if (!generator_.idle() && !channel_.congested()) step();
    if (channel_.in_ended() && generator_.idle()) return end("done", exit_done);
  }
}

template <class Device, class T>
void Server<Device, T>::handle(const LineChannel::Line& line) {
  if (line.too_long) {
    return say_error(Json(), "bad_input", "request: has more than " + std::to_string(limits::request_bytes_max) + " bytes");
  }
  if (line.text.find_first_not_of(" \t\r") == std::string::npos) return;
  Json json;
  try {
    json = parse_json(line.text, "request");
    handle(parse_serve_request(json, model_.config, stop_));
  } catch (const Failure& failure) {
    say_error(request_id(json), failure.code, failure.what());
  } catch (const std::bad_alloc&) {
    say_error(request_id(json), "out_of_memory", "there is not enough free memory for this request");
  }
}

template <class Device, class T>
void Server<Device, T>::handle(ServeRequest request) {
  std::visit([&](auto& op) { handle(request.id, op); }, request.op);
}

template <class Device, class T>
void Server<Device, T>::handle(const std::string& id, GenerateOp& op) {
  if (in_flight_.size() == limits::requests_max)
    throw Failure(exit_bad_input, "busy", "request: " + std::to_string(limits::requests_max) + " are in flight, which is the limit; send it again when one is done");
  for (const auto& [name, other] : in_flight_)
    if (other.id == id) bad_input("request: id " + in_quotes(id) + " is in flight already");
  std::shared_ptr<const Lora<Device, T>> adapter;
  if (!op.adapter.empty()) {
    const auto found = adapters_.find(op.adapter);
    if (found == adapters_.end()) bad_input("request: adapter " + in_quotes(op.adapter) + " is not loaded; load it first");
    adapter = found->second;
  }
  const auto prompt_tokens = static_cast<int64_t>(op.ask.prompt.size());
  const int64_t rows = cache_rows_needed(model_.config, prompt_tokens, op.ask.max_new_tokens);
  if (rows > limits_.cache_rows) {
    out_of_memory("request: prompt and max_new_tokens need a cache of " + std::to_string(rows) + " tokens, and this server has " +
                  std::to_string(limits_.cache_rows) + " (--cache-tokens); lower max_new_tokens");
  }
  InFlight request{id, op.stream, prompt_tokens, 0, op.ask.num_return_sequences, {}};
  request.samples.resize(op.ask.num_return_sequences);
  in_flight_.emplace(generator_.add(std::move(op.ask), std::move(adapter)), std::move(request));
}

template <class Device, class T>
void Server<Device, T>::handle(const std::string& id, CancelOp&) {
  for (const auto& [name, request] : in_flight_) {
    if (request.id != id) continue;
    generator_.cancel(name);
    return end_request(name, "cancelled");
  }
  throw Failure(exit_bad_input, "not_in_flight", "request: " + in_quotes(id) + " is not in flight");
}

template <class Device, class T>
void Server<Device, T>::handle(const std::string& id, LoadOp& op) {
  if (!adapters_.contains(op.adapter) && adapters_.size() == limits::adapters_max)
    bad_input("request: " + std::to_string(limits::adapters_max) + " adapters are loaded, which is the limit; unload one first");
  auto adapter = load_adapter(device_, op.path, model_);
  const auto parameters = static_cast<int64_t>(adapter->values.size());
  adapters_[op.adapter] = std::move(adapter);
  say("loaded", {{"id", id}, {"adapter", op.adapter}, {"parameters", parameters}});
}

template <class Device, class T>
void Server<Device, T>::handle(const std::string& id, UnloadOp& op) {
  if (adapters_.erase(op.adapter) == 0) bad_input("request: adapter " + in_quotes(op.adapter) + " is not loaded");
  say("unloaded", {{"id", id}, {"adapter", op.adapter}});
}

template <class Device, class T>
void Server<Device, T>::step() {
  for (const SampledToken& sampled : generator_.step()) take(sampled);
}

template <class Device, class T>
void Server<Device, T>::take(const SampledToken& sampled) {
  const auto found = in_flight_.find(sampled.request);
  if (found == in_flight_.end()) return;
  InFlight& request = found->second;
  if (sampled.finish == Finish::non_finite) {
    say_error(request.id, "non_finite", "the model's logits are not finite; its weights or the adapter's are damaged");
    in_flight_.erase(found);
    return;
  }
  request.completion_tokens++;
  request.samples[sampled.sample].push_back(int64_t{sampled.token});
  if (request.stream) say("token", {{"id", request.id}, {"sample", sampled.sample}, {"token", int64_t{sampled.token}}});
  if (sampled.finish == Finish::not_yet) return;
  say("sample", {{"id", request.id},
                 {"sample", sampled.sample},
                 {"tokens", std::move(request.samples[sampled.sample])},
                 {"finish_reason", sampled.finish == Finish::stop ? "stop" : "length"}});
  if (--request.samples_left == 0) end_request(sampled.request, "done");
}

template <class Device, class T>
void Server<Device, T>::end_request(uint64_t name, const char* status) {
  const InFlight& request = in_flight_.at(name);
  say("done", {{"id", request.id},
               {"status", status},
               {"prompt_tokens", request.prompt_tokens},
               {"completion_tokens", request.completion_tokens}});
  in_flight_.erase(name);
}

template <class Device, class T>
int Server<Device, T>::end(const char* status, int exit_code) {
  while (!in_flight_.empty()) end_request(in_flight_.begin()->first, "cancelled");
  say("end", {{"status", status}});
  channel_.drain(kPatience);
  return exit_code;
}

}  // namespace

int run_serve(const ServeArgs& args) {
  LineChannel channel(0, 1, limits::request_bytes_max);  // first: what it does with signals holds for the threads made after it
  return on_device(args.device, [&]<class Device, class T>(Device& device, T) { return Server<Device, T>(channel, device, args).run(); });
}

}  // namespace concord
