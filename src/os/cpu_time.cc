#include "os/cpu_time.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "os/file.h"

namespace weir::os {
namespace {

constexpr uint64_t kMostBytes = 16 << 20;
constexpr double kUsPerS = 1e6;
constexpr std::string_view kName = "cpu";

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / kUsPerS;
}

// Ticks of "cpuN user nice system idle iowait irq softirq steal guest guest_nice" that went to
// somebody; guests are in user too. -1: the line is of another kind, or cut.
double busy_ticks(const std::string& line, int& cpu) {
  std::istringstream in(line);
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  if (!(in >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq)) return -1;
  if (!name.starts_with(kName) || name.size() == kName.size()) return -1;
  const char* const end = name.data() + name.size();
  const auto number = std::from_chars(name.data() + kName.size(), end, cpu);
  if (number.ec != std::errc() || number.ptr != end) return -1;
  in >> steal;  // kernels before 2.6.11 have none
  return user + nice + system + irq + softirq + steal;
}

}  // namespace

Result<CpuTime> cpu_time(std::span<const int> cpus, const std::string& root) {
  const std::string path = root + "/proc/stat";
  WEIR_ASSIGN(const std::string text, read_file(path, kMostBytes));
  std::istringstream lines(text);
  double ticks = 0;
  size_t found = 0;
  for (std::string line; std::getline(lines, line) && line.starts_with(kName);) {
    int cpu = -1;
    const double busy = busy_ticks(line, cpu);
    if (busy < 0 || std::find(cpus.begin(), cpus.end(), cpu) == cpus.end()) continue;
    ticks += busy;
    ++found;
  }
  if (found < cpus.size())
    return make_error(ErrorCode::kIo, "{}: tells of {} of {} cores", path, found, cpus.size());
  CpuTime out;
  out.all_s = ticks / static_cast<double>(std::max<int64_t>(1, sysconf(_SC_CLK_TCK)));
  rusage own{};
  if (getrusage(RUSAGE_SELF, &own) == 0) out.own_s = seconds(own.ru_utime) + seconds(own.ru_stime);
  return out;
}

double others_cores(const CpuTime& before, const CpuTime& after, double seconds) {
  if (seconds <= 0) return 0;
  return std::max(0.0, (after.all_s - before.all_s) - (after.own_s - before.own_s)) / seconds;
}

}  // namespace weir::os
