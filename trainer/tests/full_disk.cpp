// A file system that really has no room left, where this process may make one.
#include <sys/mount.h>

#include <filesystem>

#include "io/files.h"
#include "tiny_run.h"

using namespace concord;

namespace {

struct SmallDisk {
  std::string path;
  bool mounted;

  explicit SmallDisk(const std::string& at) : path(at) {
    make_dir(path);
    mounted = mount("tmpfs", path.c_str(), "tmpfs", 0, "size=512k") == 0;
  }
  ~SmallDisk() {
    if (mounted) umount2(path.c_str(), MNT_DETACH);
  }
};

}  // namespace

TEST("a full disk: exit 5, said on stdout; with room again the run goes on to the same bytes") {
  TinyRun tiny;
  const SmallDisk disk(tiny.dir / "disk");
  if (!disk.mounted) {
    std::printf("not run: only root may mount a small disk\n");
    return;
  }
  const auto job = [&](const std::string& name) {
    return tiny.job(name, {{"output_dir", disk.path + "/" + name}, {"objective", "dpo"}, {"r", 4}, {"num_train_epochs", 4},
                           {"save_steps", 4}, {"resume_from_checkpoint", "auto"}});
  };
  CHECK_EQ(run_binary({"train", job("whole")}, "CONCORD_THREADS=1").exit_code, 0);
  const std::string adapter = "/adapter/adapter_model.safetensors";
  const std::string want(read_file(disk.path + "/whole" + adapter).text());
  std::filesystem::remove_all(disk.path + "/whole");

  const auto room = std::filesystem::space(disk.path).available;
  tiny.dir.write("disk/filler", std::string(room - (110 << 10), 'x'));
  const Ran full = run_binary({"train", job("out")}, "CONCORD_THREADS=1");
  CHECK_EQ(full.exit_code, 5);
  CHECK(full.err.find("the disk is full") != std::string::npos);
  const Json last = events_in(full.out).back();
  CHECK_EQ(event_name(last), "error");
  CHECK_EQ(std::get<std::string>(last.find("code")->value), "disk_full");

  std::filesystem::remove(disk.path + "/filler");
  const Ran resumed = run_binary({"train", job("out")}, "CONCORD_THREADS=1");
  CHECK_EQ(resumed.exit_code == 0 ? "" : resumed.err, "");
  CHECK(std::string(read_file(disk.path + "/out" + adapter).text()) == want);
}
