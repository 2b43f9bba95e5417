// What weir config writes, as data: each line with its reason. Renderers make a format's text of
// it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

// Sources of a line that are no id of skill/data/sources.json.
inline constexpr std::string_view kFromPlan = "plan";
inline constexpr std::string_view kHypothesis = "hypothesis";

struct ConfigLine {
  std::string key;    // "--max-num-seqs", "kv_cache_config.dtype"; empty: a word without a flag
  std::string value;  // empty: a switch
  std::string why;
  std::string source;  // an id of skill/data/sources.json, kFromPlan or kHypothesis
  bool json = false;   // the value is JSON (a number, true, a list), not a text that may look so

  // "why [source]".
  std::string reason() const { return why + " [" + source + "]"; }
};

// What one engine is started with.
struct EngineConfig {
  std::string engine, version;       // of the snapshot that it was held against
  std::vector<std::string> program;  // the words that the command begins with
  std::vector<ConfigLine> flags;
  std::vector<ConfigLine> keys;       // of a file that --config names; dotted
  std::vector<std::string> left_out;  // what the plan wants and this version has not got
};

// A file to be written; path is relative to the folder of the environments: "prod/vllm/serve.sh".
struct WrittenFile {
  std::string path;
  std::string text;
};

// What an environment has otherwise than the base.
struct EnvironmentDifference {
  std::string file;  // or object: "Deployment/qwen"
  std::string key;
  std::string base, value;  // empty: not there
  std::string reason;
};

}  // namespace weir::ops
