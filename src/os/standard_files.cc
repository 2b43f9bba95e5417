#include "os/standard_files.h"

#include <fcntl.h>
#include <unistd.h>

namespace weir::os {

void fill_standard_files() {
  // Reading what is open for writing alone fails with EBADF, and the other way round.
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
  for (int fd = 0; fd < 3; ++fd) {
    // The lowest free number: `fd`, since those below are taken by now.
    if (::fcntl(fd, F_GETFD) < 0) (void)!::open("/dev/null", kModes[fd]);
  }
}

}  // namespace weir::os
