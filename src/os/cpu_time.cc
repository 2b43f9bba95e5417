#include "os/cpu_time.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "os/file.h"

namespace weir::os {
namespace {

constexpr uint64_t kMostBytes = 1 << 20;
constexpr double kUsPerS = 1e6;

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / kUsPerS;
}

}  // namespace

Result<CpuTime> cpu_time(const std::string& root) {
  const std::string path = root + "/proc/stat";
  WEIR_ASSIGN(const std::string text, read_file(path, kMostBytes));
  // cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are in user too.
  std::istringstream line(text.substr(0, text.find('\n')));
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  if (!(line >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq) ||
      name != "cpu")
    return make_error(ErrorCode::kIo, "{}: does not begin with a line of the sum of all cores",
                      path);
  line >> steal;  // kernels before 2.6.11 have none
  CpuTime out;
  out.all_s = (user + nice + system + irq + softirq + steal) /
              static_cast<double>(std::max<int64_t>(1, sysconf(_SC_CLK_TCK)));
  rusage own{};
  if (getrusage(RUSAGE_SELF, &own) == 0) out.own_s = seconds(own.ru_utime) + seconds(own.ru_stime);
  return out;
}

double others_cores(const CpuTime& before, const CpuTime& after, double seconds) {
  if (seconds <= 0) return 0;
  return std::max(0.0, (after.all_s - before.all_s) - (after.own_s - before.own_s)) / seconds;
}

}  // namespace weir::os
