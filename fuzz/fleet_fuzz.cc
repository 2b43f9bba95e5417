// What a gateway reads of its fleet: a list of EndpointSlices and lines of a watch, and an engine's
// metrics. The first byte says which.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/capacity.h"
#include "gateway/discover/endpoint_slices.h"

namespace {

void metrics(std::string_view engine, std::string_view text) {
  const auto said = weir::gateway::read_capacity(engine, text);
  if (!said.ok()) {
    if (said.error().message.empty()) std::abort();
    return;
  }
  if (said->waiting.value_or(0) < 0 || said->running.value_or(0) < 0 ||
      said->queued_tokens.value_or(0) < 0)
    std::abort();
  const float kv = said->kv_usage.value_or(0.0F);
  if (!(kv >= 0 && kv <= 1)) std::abort();
}

void slices(std::string_view text) {
  weir::gateway::EndpointSlices s({.service = "a", .name_space = "b", .port = ""});
  const size_t end = std::min(text.find('\n'), text.size());
  (void)s.replace(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  while (!text.empty()) {
    const size_t n = std::min(text.find('\n'), text.size());
    const auto event = s.apply(text.substr(0, n));
    if (!event.ok() && event.error().message.empty()) std::abort();
    text.remove_prefix(std::min(n + 1, text.size()));
  }
  for (const auto& e : s.endpoints()) {
    // An address and a port, whatever was said.
    if (e.to.host.find_first_not_of("0123456789abcdefABCDEF.:") != std::string::npos) std::abort();
    if (e.to.port == 0 || !e.to.path.empty() || e.to.tls) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr std::string_view kEngines[] = {"weir",   "vllm",     "sglang",
                                           "trtllm", "llamacpp", "dynamo"};
  if (data[0] < std::size(kEngines)) {
    metrics(kEngines[data[0]], text);
  } else {
    slices(text);
  }
  return 0;
}
