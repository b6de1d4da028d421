#include "check.h"
#include "run/sha256.h"
#include "temp_dir.h"

using namespace concord;

TEST("the standard's own examples") {
  CHECK_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK_EQ(sha256_hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST("pieces of any length give the sum of the whole, every length of the last block too") {
  std::string text;
  for (int i = 0; i < 200; i++) {
    for (const size_t piece : {1, 7, 63, 64, 65, 128}) {
      Sha256 sum;
      for (size_t at = 0; at < text.size(); at += piece) sum.update(std::string_view(text).substr(at, piece));
      CHECK_EQ(sum.hex(), sha256_hex(text));
    }
    text += static_cast<char>(i);
  }
}

TEST("a file's sum is that of its bytes") {
  TempDir dir;
  const std::string text(3'000'000, 'x');
  CHECK_EQ(sha256_file_hex(dir.write("large", text)), sha256_hex(text));
  CHECK_EQ(sha256_file_hex(dir.write("empty", "")), sha256_hex(""));
  CHECK_THROWS_WITH(sha256_file_hex(dir / "absent"), "cannot read");
}
