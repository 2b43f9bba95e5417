// A YAML file from outside, as a tree and as settings of a small schema.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::config::Key;
  using weir::config::Type;
  const std::vector<Key> schema{
      {"host", "--host", Type::kText, std::string("x"), {}},
      {"port", "--port", Type::kInt, int64_t{1}, {.min = 0, .max = 65535}},
      {"slo.itl_ms", "", Type::kNumber, 0.0, {.min = 0, .max = 1e6}},
      {"strict", "", Type::kBool, false, {}},
      {"keys", "", Type::kList, std::vector<std::string>{}, {.secret = true}}};
  weir::config::Sources sources;
  sources.file_name = "f";
  auto file = weir::config::parse_yaml({reinterpret_cast<const char*>(data), size}, "f");
  if (!file.ok()) return 0;
  sources.file = std::move(*file);
  const auto settings = weir::config::Settings::resolve(schema, sources);
  if (settings.ok()) (void)weir::config::show_json(*settings);
  return 0;
}
