#include "ops/engines/catalog.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/thread_annotations.h"
#include "config/key.h"
#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

// The value of "key: value" in the first lines of a snapshot; reading the whole takes longer.
std::string_view head_value(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at > 1000) return "";  // npos as well
  std::string_view rest = text.substr(at + key.size());
  rest = rest.substr(0, rest.find('\n'));
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '"')) rest.remove_prefix(1);
  while (!rest.empty() && (rest.back() == ' ' || rest.back() == '"')) rest.remove_suffix(1);
  return rest;
}

std::vector<EngineVersion> list_versions() {
  std::vector<EngineVersion> out;
  for (const EmbeddedFile& f : embedded_files()) {
    if (!f.name.starts_with("data/engines/")) continue;
    const EngineVersion v{head_value(f.text, "\nengine:"), head_value(f.text, "\nversion:"),
                          f.text};
    if (!v.engine.empty()) out.push_back(v);
  }
  std::sort(out.begin(), out.end(), [](const EngineVersion& a, const EngineVersion& b) {
    return a.engine != b.engine ? a.engine < b.engine : compare_versions(a.version, b.version) < 0;
  });
  return out;
}

// The next run of digits, or -1 at the end.
long next_number(std::string_view& text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (!text.empty() && !digit(text.front())) text.remove_prefix(1);
  if (text.empty()) return -1;
  long v = 0;
  while (!text.empty() && digit(text.front())) {
    if (v < 100'000'000) v = v * 10 + (text.front() - '0');
    text.remove_prefix(1);
  }
  return v;
}

// Each is read once: some have a thousand options.
Result<EngineSnapshot> parsed(const EngineVersion& v) {
  static Mutex mutex;
  static std::map<const char*, EngineSnapshot> known;  // by where the text is; guarded by mutex
  const MutexLock lock(mutex);
  const auto it = known.find(v.text.data());
  if (it != known.end()) return it->second;
  auto s = EngineSnapshot::parse(v.text, fmt::format("{} {}", v.engine, v.version));
  if (s.ok()) known.emplace(v.text.data(), *s);
  return s;
}

}  // namespace

const std::vector<EngineVersion>& engine_versions() {
  static const std::vector<EngineVersion> versions = list_versions();
  return versions;
}

std::vector<std::string> engine_names() {
  std::vector<std::string> out;
  for (const EngineVersion& v : engine_versions()) {
    if (out.empty() || out.back() != v.engine) out.emplace_back(v.engine);
  }
  return out;
}

int compare_versions(std::string_view a, std::string_view b) {
  for (;;) {
    const long x = next_number(a);
    const long y = next_number(b);
    if (x != y) return x < y ? -1 : 1;
    if (x < 0) return 0;
  }
}

Result<EngineSnapshot> engine_snapshot(std::string_view engine, std::string_view version) {
  // As the writers' targets are called.
  if (engine == "trtllm") engine = "tensorrt-llm";
  if (engine == "llamacpp") engine = "llama.cpp";
  const EngineVersion* best = nullptr;
  for (const EngineVersion& v : engine_versions()) {
    if (v.engine != engine) continue;
    if (best == nullptr || version.empty() || compare_versions(v.version, version) <= 0) best = &v;
  }
  if (best == nullptr) {
    const std::vector<std::string> names = engine_names();
    return make_error(ErrorCode::kUsage, "{}: no engine that is known; the nearest is {}, all: {}",
                      engine, config::nearest(engine, names), fmt::join(names, ", "));
  }
  return parsed(*best);
}

}  // namespace weir::ops
