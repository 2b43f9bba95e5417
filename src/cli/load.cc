#include "cli/load.h"

#include <cstdlib>

#include "base/clock.h"
#include "cli/model_path.h"
#include "cli/terminal.h"
#include "os/cpu.h"

namespace weir::cli {

Result<kernels::Isa> chosen_isa() {
  const char* isa = std::getenv("WEIR_ISA");
  auto chosen = kernels::choose_isa(os::detect_cpu(), isa == nullptr ? "" : isa);
  if (!chosen.ok()) return chosen.error().with_context("WEIR_ISA");
  return chosen;
}

Result<std::unique_ptr<engine::LoadedModel>> load_model(const LoadRequest& request) {
  WEIR_ASSIGN(const std::string path, resolve_model(request.model));
  WEIR_ASSIGN(const kernels::Isa isa, chosen_isa());
  const SystemClock clock;
  ProgressBar bar("loading", 1000, clock);
  engine::LoadOptions options;
  options.isa = isa;
  options.threads = request.threads > 0 ? request.threads : os::usable_cores();
  options.max_step_tokens = request.step_tokens;
  options.kv_tokens = request.kv_tokens;
  options.progress = [&bar](size_t done, size_t all) {
    bar.update(all == 0 ? 1000 : done * 1000 / all);
  };
  return engine::LoadedModel::load(path, options);
}

}  // namespace weir::cli
