// serve as a program uses it: a process, lines in, lines out.
#include <poll.h>
#include <sys/wait.h>

#include <fcntl.h>

#include <csignal>
#include <map>

#include "io/limits.h"
#include "run_binary.h"
#include "tiny_model.h"

using namespace tiny;

namespace {

constexpr int kPatience = 60'000;  // milliseconds; a machine may be busy

class Serve {
 public:
  explicit Serve(const std::string& model, const std::vector<std::string>& more = {}) {
    int to[2], from[2];
    CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      if (!freopen("/dev/null", "w", stderr)) _exit(99);
      std::vector<const char*> argv = {CONCORD_BINARY, "serve", "--model", model.c_str()};
      for (const std::string& arg : more) argv.push_back(arg.c_str());
      argv.push_back(nullptr);
      execv(CONCORD_BINARY, const_cast<char**>(argv.data()));
      _exit(98);
    }
    close(to[0]);
    close(from[1]);
    in_ = to[1];
    out_ = from[0];
  }
  ~Serve() {
    end_input();
    end_output();
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void write(const std::string& text) const {
    for (size_t at = 0; at < text.size();) {
      const ssize_t wrote = ::write(in_, text.data() + at, text.size() - at);
      CHECK(wrote > 0);
      at += static_cast<size_t>(wrote);
    }
  }
  void ask(const Json::Object& request) const { write(to_text(Json(request)) + "\n"); }
  void end_input() { close_once(in_); }
  void end_output() { close_once(out_); }
  void signal(int number) const { kill(pid_, number); }

  // The next event; null at the end.
  Json next() {
    for (;;) {
      const size_t end = read_.find('\n');
      if (end != std::string::npos) {
        const Json event = parse_json(read_.substr(0, end), "event");
        read_.erase(0, end + 1);
        return event;
      }
      pollfd fd{out_, POLLIN, 0};
      CHECK(poll(&fd, 1, kPatience) > 0);
      char block[4096];
      const ssize_t got = read(out_, block, sizeof block);
      if (got <= 0) return Json();
      read_.append(block, static_cast<size_t>(got));
    }
  }
  // The next event of that name; others are kept aside in `passed`.
  Json next(const std::string& name) {
    for (;;) {
      Json event = next();
      CHECK(!event.is_null());
      if (text(event, "event") == name) return event;
      passed.push_back(std::move(event));
    }
  }
  int exit_status() {
    int status = 0;
    CHECK_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return status;
  }

  static std::string text(const Json& event, const char* key) {
    const Json* value = event.find(key);
    return value && value->is_string() ? std::get<std::string>(value->value) : "";
  }

  std::vector<Json> passed;

 private:
  static void close_once(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::string read_;
};

Json::Array json_ids(const Ids& ids) {
  Json::Array array;
  for (const int32_t id : ids) array.push_back(int64_t{id});
  return array;
}

const Ids kPrompt = {3, 1, 4, 1, 5};

Json::Object request(const std::string& id, const Json::Object& more = {}) {
  Json all = Json::Object{{"op", "generate"}, {"id", id}, {"prompt", json_ids(kPrompt)}, {"stop", Json::Array{}}, {"max_new_tokens", 12}};
  for (const auto& [key, value] : more) all.set(key, value);
  return all.object();
}

// What the command `generate` says to the same.
std::vector<Ids> generated(const TempDir& dir, const std::string& model, const std::string& adapter, int64_t samples, int64_t tokens) {
  GenerateArgs args;
  args.model = model;
  args.adapter = adapter;
  args.groups = GroupsFile().add(kPrompt).write(dir);
  args.out = dir / "generated.safetensors";
  args.num_return_sequences = samples;
  args.max_new_tokens = tokens;
  args.stop = std::vector<int64_t>{};
  CHECK_EQ(run_generate(args), 0);
  const Groups out = read_groups(args.out);
  std::vector<Ids> all;
  for (int64_t s = 1; s < out.n_segments(); s++) all.emplace_back(out.segment_tokens(s).begin(), out.segment_tokens(s).end());
  return all;
}

Ids ids_in(const Json& event, const char* key) {
  Ids ids;
  for (const Json& id : event.find(key)->array()) ids.push_back(static_cast<int32_t>(std::get<int64_t>(id.value)));
  return ids;
}

}  // namespace

TEST("requests in flight together, each with its own adapter, say what generate says; tokens come one by one") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  const std::map<std::string, std::string> adapters = {
      {"base", ""}, {"first", write_lora(dir, model, "first")}, {"second", write_lora(dir, model, "second", [] {
        AdapterConfig config = rank_four();
        config.r = 7;
        return config;
      }())}};
  Serve serve(model);
  CHECK_EQ(Serve::text(serve.next("ready"), "model_type"), "llama");
  for (const auto& [name, path] : adapters) {
    if (path.empty()) continue;
    serve.ask({{"op", "load"}, {"id", "l-" + name}, {"adapter", name}, {"path", path}});
    CHECK_EQ(Serve::text(serve.next("loaded"), "id"), "l-" + name);
  }
  for (const auto& [name, path] : adapters) {
    Json::Object more = {{"num_return_sequences", 3}};
    if (!path.empty()) more.emplace_back("adapter", name);
    serve.ask(request(name, more));
  }
  for (int i = 0; i < 3; i++) CHECK_EQ(Serve::text(serve.next("done"), "status"), "done");
  std::map<std::string, std::vector<Ids>> streamed, whole;
  for (const Json& event : serve.passed) {
    const std::string id = Serve::text(event, "id");
    auto& of = Serve::text(event, "event") == "token" ? streamed[id] : whole[id];
    of.resize(3);
    const auto sample = static_cast<size_t>(std::get<int64_t>(event.find("sample")->value));
    if (Serve::text(event, "event") == "token") of[sample].push_back(static_cast<int32_t>(std::get<int64_t>(event.find("token")->value)));
    else of[sample] = ids_in(event, "tokens");
  }
  for (const auto& [name, path] : adapters) {
    CHECK(whole[name] == generated(dir, model, path, 3, 12));
    CHECK(streamed[name] == whole[name]);
  }
  CHECK(whole["base"] != whole["first"] && whole["first"] != whole["second"]);
  serve.end_input();
  CHECK_EQ(Serve::text(serve.next("end"), "status"), "done");
  const int status = serve.exit_status();
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 0);
}

TEST("what is wrong with a request is said to that request, and the next one is answered") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  Adapter damaged = read_adapter(write_lora(dir, model), read_checkpoint_config(model));
  Serve serve(model, {"--cache-tokens", "64"});
  serve.next("ready");
  const auto refused = [&](const std::string& line, const std::string& id, const std::string& code, const std::string& why) {
    serve.write(line + "\n");
    const Json error = serve.next();
    CHECK_EQ(Serve::text(error, "event"), "error");
    CHECK_EQ(Serve::text(error, "id"), id);
    CHECK_EQ(Serve::text(error, "code"), code);
    if (Serve::text(error, "message").find(why) == std::string::npos) throw std::runtime_error(to_text(error) + " lacks " + why);
  };
  const auto with = [](Json::Object more) { return to_text(Json(request("a", more))); };
  refused("{", "", "bad_input", "request: line 1");
  refused("[]", "", "bad_input", "must be an object");
  refused(std::string("\xff\0", 2), "", "bad_input", "UTF-8");
  refused(R"({"op":"generate"})", "", "bad_input", "id is missing");
  refused(R"({"id":"a"})", "a", "bad_input", "op is missing");
  refused(R"({"id":"a","op":"sing"})", "a", "bad_input", "must be one of: generate, cancel, load, unload");
  refused(R"({"id":")" + std::string(129, 'a') + R"(","op":"cancel"})", "", "bad_input", "from 1 to 128 bytes");
  refused(R"({"id":"a","op":"cancel"})", "a", "not_in_flight", "\"a\" is not in flight");
  refused(R"({"id":"a","op":"generate","prompt":[]})", "a", "bad_input", "prompt is empty");
  refused(R"({"id":"a","op":"generate","prompt":[1,61]})", "a", "bad_input", "prompt[1] is 61, but must be from 0 to 60");
  refused(with({{"temprature", 1}}), "a", "bad_input", "did you mean \"temperature\"?");
  refused(with({{"temperature", -1}}), "a", "bad_input", "temperature is -1");
  refused(with({{"num_return_sequences", 1025}}), "a", "bad_input", "num_return_sequences is 1025");
  refused(with({{"adapter", "none"}}), "a", "bad_input", "adapter \"none\" is not loaded");
  refused(R"({"id":"a","op":"generate","prompt":[1],"max_new_tokens":64})", "a", "out_of_memory", "65 tokens, and this server has 64");
  refused(R"({"id":"a","op":"load","adapter":"x","path":"/nowhere"})", "a", "bad_input", "/nowhere");
  refused(R"({"id":"a","op":"unload","adapter":"x"})", "a", "bad_input", "\"x\" is not loaded");
  refused(std::string(limits::request_bytes_max + 1, ' '), "", "bad_input", "has more than 4194304 bytes");
  damaged.modules[0].b[0] = std::nanf("");
  write_adapter(dir / "damaged", damaged);
  refused(R"({"id":"a","op":"load","adapter":"x","path":")" + (dir / "damaged") + R"("})", "a", "bad_input", "lora_B");
  serve.ask(request("a", {{"stream", false}}));
  const Json sample = serve.next();
  CHECK_EQ(Serve::text(sample, "event"), "sample");
  CHECK(ids_in(sample, "tokens") == generated(dir, model, "", 1, 12)[0]);
  CHECK_EQ(Serve::text(sample, "finish_reason"), "length");
  CHECK_EQ(Serve::text(serve.next(), "event"), "done");
}

TEST("a request in flight keeps its adapter while its name is given to another; a cancelled one ends at once") {
  TempDir dir;
  const std::string model = write_model(dir, config()), first = write_lora(dir, model, "first");
  AdapterConfig wider = rank_four();
  wider.r = 6;
  const std::string second = write_lora(dir, model, "second", wider);
  Serve serve(model);
  serve.next("ready");
  serve.ask({{"op", "load"}, {"id", "1"}, {"adapter", "it"}, {"path", first}});
  serve.ask(request("old", {{"adapter", "it"}, {"stream", false}}));
  serve.ask(request("long", {{"max_new_tokens", 90}, {"num_return_sequences", 1024}, {"stream", false}}));
  serve.ask(request("long"));
  serve.ask({{"op", "load"}, {"id", "2"}, {"adapter", "it"}, {"path", second}});
  serve.ask(request("new", {{"adapter", "it"}, {"stream", false}}));
  serve.ask({{"op", "unload"}, {"id", "3"}, {"adapter", "it"}});
  serve.ask({{"op", "cancel"}, {"id", "long"}});
  serve.end_input();
  serve.next("end");
  std::map<std::string, Ids> said;
  std::map<std::string, std::string> status;
  int in_flight_already = 0;
  for (const Json& event : serve.passed) {
    const std::string id = Serve::text(event, "id"), name = Serve::text(event, "event");
    if (name == "sample" && id != "long") said[id] = ids_in(event, "tokens");
    if (name == "done") status[id] = Serve::text(event, "status");
    if (name == "error") in_flight_already += Serve::text(event, "message").find("in flight already") != std::string::npos;
  }
  CHECK(said["old"] == generated(dir, model, first, 1, 12)[0]);
  CHECK(said["new"] == generated(dir, model, second, 1, 12)[0]);
  CHECK_EQ(status["long"], "cancelled");
  CHECK_EQ(status["old"] + status["new"], "donedone");
  CHECK_EQ(in_flight_already, 1);
}

TEST("more requests than the limit are told so, and every other is answered") {
  TempDir dir;
  Serve serve(write_model(dir, config()));
  serve.next("ready");
  std::string all;
  for (size_t i = 0; i < limits::requests_max + 3; i++)
    all += to_text(Json(request(std::to_string(i), {{"stream", false}, {"max_new_tokens", 90}}))) + "\n";
  serve.write(all);
  serve.end_input();
  serve.next("end");
  size_t done = 0, busy = 0;
  for (const Json& event : serve.passed) {
    done += Serve::text(event, "status") == "done";
    busy += Serve::text(event, "code") == "busy";
  }
  CHECK_EQ(done + busy, limits::requests_max + 3);
  CHECK(done >= limits::requests_max);
}

TEST("SIGTERM: what is in flight is cancelled, the end is said, exit 143; also where nobody reads") {
  TempDir dir;
  const std::string model = write_model(dir, config());
  for (const bool reads : {true, false}) {
    Serve serve(model);
    serve.next("ready");
    serve.ask(request("a", {{"max_new_tokens", 90}, {"num_return_sequences", 1024}}));
    serve.next("token");
    if (!reads) usleep(300'000);  // the pipe fills
    serve.signal(SIGTERM);
    if (reads) {
      const Json done = serve.next("done");
      CHECK_EQ(Serve::text(done, "status"), "cancelled");
      CHECK_EQ(Serve::text(serve.next("end"), "status"), "stopped");
    }
    const int status = serve.exit_status();
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 143);
  }
}

TEST("a reader that goes away ends the server") {
  TempDir dir;
  Serve serve(write_model(dir, config()));
  serve.next("ready");
  serve.ask(request("a", {{"max_new_tokens", 90}, {"num_return_sequences", 64}}));
  serve.end_output();
  const int status = serve.exit_status();
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 0);
}
