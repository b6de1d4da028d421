#include <cstring>
#include <limits>

#include "check.h"
#include "error.h"
#include "io/json.h"

using namespace concord;

static Json parse(std::string_view text) { return parse_json(text, "f.json"); }

TEST("reads every kind of value") {
  const Json json = parse(R"( {"a": [1, -2.5e3, true, false, null, "x"], "b": {}} )");
  const JsonAt at{&json, "f.json", ""};
  CHECK_EQ(at["a"][size_t{0}].integer(0, 9), 1);
  CHECK_EQ(at["a"][size_t{1}].number(-1e9, 1e9), -2500.0);
  CHECK(at["a"][size_t{2}].boolean());
  CHECK(!at["a"][size_t{3}].boolean());
  CHECK(at["a"][size_t{4}].is_null());
  CHECK_EQ(at["a"][size_t{5}].string(), "x");
  CHECK(at["b"].object().empty());
}

TEST("keeps integers apart from floats") {
  CHECK(parse("3").is_integer());
  CHECK(!parse("3.0").is_integer());
  CHECK(!parse("3e0").is_integer());
  CHECK(parse("9223372036854775807").is_integer());
  CHECK(!parse("9223372036854775808").is_integer());
  CHECK(parse("9223372036854775808").is_number());
}

TEST("refuses what is not JSON") {
  for (const char* text :
       {"", " ", "{", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{'a':1}", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity",
        "nul", "truee", "1 2", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\u0000\"",
        "\"a\nb\"", "[1 2]", "{\"a\" 1}", "{\"a\":}", "{1:2}", "// x\n1", "1e999", "-1e999", "]", "}", ":"})
    CHECK_THROWS_WITH(parse(text), "f.json");
}

TEST("names the line") { CHECK_THROWS_WITH(parse("{\n\"a\": 1,\n\"b\": oops}"), "line 3"); }

TEST("refuses duplicate keys at any level") {
  CHECK_THROWS_WITH(parse(R"({"a":1,"b":2,"a":3})"), "\"a\" is given twice");
  CHECK_THROWS_WITH(parse(R"({"x":[{"k":1,"\u006b":2}]})"), "\"k\" is given twice");
}

TEST("limits depth to 16 levels") {
  const auto nest = [](int n) { return std::string(static_cast<size_t>(n), '[') + std::string(static_cast<size_t>(n), ']'); };
  CHECK(parse(nest(16)).is_array());
  CHECK_THROWS_WITH(parse(nest(17)), "deeper than 16");
  CHECK_THROWS_WITH(parse(std::string(5'000'000, '[')), "deeper than 16");
}

TEST("refuses what is not UTF-8") {
  for (const char* text : {"\"\xff\"", "\"\xc0\x80\"", "\"\xc3\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                           "\"\xf8\x88\x80\x80\x80\"", "\"\x80\"", "\"\xf0\x80\x80\x80\""})
    CHECK_THROWS_WITH(parse(text), "UTF-8");
  CHECK_THROWS_WITH(parse("\xEF\xBB\xBF{}"), "byte order mark");
  CHECK_EQ(std::get<std::string>(parse("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"").value), "é€😀");
}

TEST("decodes escapes") {
  CHECK_EQ(std::get<std::string>(parse(R"("\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00")").value), "\"\\/\b\f\n\r\té€😀");
}

TEST("doubles come back as the same bits") {
  uint64_t state = 1;
  for (int i = 0; i < 20000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t bits = state ^ state >> 29;
    double v;
    std::memcpy(&v, &bits, 8);
    if (!std::isfinite(v)) continue;
    const Json back = parse(to_text(Json(v)));
    CHECK(std::holds_alternative<double>(back.value));
    CHECK_EQ(std::get<double>(back.value), v);
  }
  CHECK_EQ(to_text(Json(1.0)), "1.0");
  CHECK_EQ(to_text(Json(0.1)), "0.1");
  CHECK_EQ(to_text(Json(std::numeric_limits<double>::quiet_NaN())), "null");
}

TEST("writes what it read") {
  const char* text = R"({"b":[1,2.5,"x\n\"é"],"a":{"c":null,"d":[]},"e":true})";
  CHECK_EQ(to_text(parse(text)), text);
  CHECK_EQ(to_text(parse(to_pretty_text(parse(text)))), text);
}

TEST("getters name the key path and what is wrong") {
  const Json json = parse(R"({"rope":{"factor":"8","n":3.0,"big":70}})");
  const JsonAt at{&json, "config.json", ""};
  CHECK_THROWS_WITH(at["rope"]["factor"].number(0, 1), "config.json: rope.factor must be a number, not \"8\"");
  CHECK_THROWS_WITH(at["rope"]["n"].integer(0, 9), "rope.n must be an integer, not 3.0");
  CHECK_THROWS_WITH(at["rope"]["big"].integer(0, 64), "rope.big is 70, but must be from 0 to 64");
  CHECK_THROWS_WITH(at["rope"]["none"].string(), "rope.none is missing");
  CHECK_THROWS_WITH(at["none"]["deeper"].integer(0, 1), "none.deeper is missing");
  CHECK_THROWS_WITH(at["rope"].array(), "rope must be an array, not an object");
}

TEST("a message never holds a raw control character or a long text") {
  CHECK_EQ(in_quotes("a\nb\x1b[31m"), "\"a\\nb\\u001b[31m\"");
  CHECK(in_quotes(std::string(1000, 'x')).size() < 100);
}

TEST("ten thousand keys are read in time that does not grow with their square") {
  std::string text = "{";
  for (int i = 0; i < 200'000; i++) text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":0";
  CHECK_EQ(parse(text + "}").object().size(), size_t{200'000});
}

TEST("mutants of valid JSON are read or refused, never worse") {
  const std::string valid = R"({"a":[1,-2.5e3,true,null,"x\u00e9\n"],"b":{"c":{"d":[[],{}]}},"é":"\ud83d\ude00"})";
  uint64_t state = 7;
  const auto next = [&state](uint64_t n) { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33 % 64 ? (state >> 33) % n : 0; };
  int refused = 0;
  for (int i = 0; i < 4000; i++) {
    std::string text = valid;
    for (uint64_t k = 0; k <= next(3); k++) text[next(text.size())] = static_cast<char>(next(256));
    try {
      const Json json = parse(text);
      CHECK_EQ(to_text(parse(to_text(json))), to_text(json));
    } catch (const Failure& failure) {
      CHECK_EQ(failure.exit_code, 2);
      refused++;
    }
  }
  CHECK(refused > 1000);
}
