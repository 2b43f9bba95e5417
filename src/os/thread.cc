#include "os/thread.h"

#include <pthread.h>
#include <sched.h>

#include <string>

#include "os/file.h"

namespace weir::os {

void set_thread_name(std::string_view name) {
  const std::string cut(name.substr(0, 15));
  (void)::pthread_setname_np(::pthread_self(), cut.c_str());
}

Status pin_thread(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) {
    return make_error(ErrorCode::kIo, "cannot bind a thread to cpu {}: no such cpu", cpu);
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  const int rc = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
  if (rc != 0) return system_error("bind a thread to", fmt::format("cpu {}", cpu), rc);
  return {};
}

}  // namespace weir::os
