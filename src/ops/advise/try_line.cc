#include "ops/advise/try_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/advise/advice.h"

namespace weir::ops {
namespace {

constexpr double kNoLimitMs = 3'600'000;
constexpr std::string_view kSlo = "--slo ";

bool reads_gguf(const Intake& intake) {
  const std::string engine = intake.text("stack.engine").value_or("");
  if (engine == "llama.cpp" || engine == "ollama" || engine == "weir") return true;
  const bool none = engine.empty() || engine == "none" || engine == "other";
  return none && (intake.number("hardware.accelerators_per_node") == 0 ||
                  intake.flag("hardware.edge") == true);
}

// "ttft={slo.ttft_ms_p95}ms": whether it names a limit that is one.
bool limits(std::string_view part, const Intake& intake) {
  const size_t open = part.find('{'), close = part.find('}');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return true;
  const auto value = intake.number(part.substr(open + 1, close - open - 1));
  return value && *value < kNoLimitMs;
}

// Without limits that are none; without --slo where none is left.
std::string with_limits(std::string text, const Intake& intake) {
  const size_t flag = text.find(kSlo);
  if (flag == std::string::npos) return text;
  const size_t begin = flag + kSlo.size();
  const size_t end = std::min(text.find(' ', begin), text.size());
  std::string kept;
  std::string_view rest = std::string_view(text).substr(begin, end - begin);
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view part = rest.substr(0, comma);
    if (limits(part, intake)) kept += fmt::format("{}{}", kept.empty() ? "" : ",", part);
    rest.remove_prefix(std::min(rest.size(), comma + 1));
  }
  const std::string before = text.substr(0, flag), after = text.substr(end);
  if (!kept.empty()) return fmt::format("{}{}{}{}", before, kSlo, kept, after);
  return before.substr(0, before.find_last_not_of(' ') + 1) + after;
}

}  // namespace

std::string try_line(const Action& action, const Intake& intake) {
  const bool gguf = !action.command_gguf.empty() && reads_gguf(intake);
  std::string text = with_limits(gguf ? action.command_gguf : action.command, intake);
  constexpr std::string_view kPeak = "{traffic.requests_per_s_peak}";
  const size_t peak = text.find(kPeak);
  if (peak != std::string::npos && intake.find("traffic.requests_per_s_peak") == nullptr)
    text.replace(peak, kPeak.size(), "{traffic.requests_per_s}");
  return fill_in(text, intake);
}

}  // namespace weir::ops
