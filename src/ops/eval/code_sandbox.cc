#include "ops/eval/code_sandbox.h"

#include <fmt/ranges.h>

#include <utility>

#include "text/utf8.h"

namespace weir::ops {

Error code_not_allowed(const SuiteTask& task) {
  return make_error(
      ErrorCode::kUsage,
      "task {} (line {} of the suite) runs Python that the model writes. It would run "
      "in a sandbox, without network and without writing outside a folder of its own, "
      "but on this machine's kernel: give --allow-code-execution if that is what you "
      "want (docs/EVALUATION.md says what the sandbox holds back)",
      task.name, task.line);
}

Result<CodeSandbox> CodeSandbox::make(const std::string& python) {
  WEIR_ASSIGN(os::Python found, os::find_python(python));
  CodeSandbox sandbox(std::move(found));
  WEIR_ASSIGN(const os::SandboxResult tried, sandbox.run(SuiteTask{}, "print(6 * 7)\n"));
  if (tried.end != os::SandboxEnd::kExited || tried.code != 0 || tried.output != "42\n") {
    return make_error(ErrorCode::kUnsupported,
                      "{} does not start in the sandbox, where it may read {}: {}",
                      sandbox.python_.program, fmt::join(sandbox.python_.readable, ", "),
                      text::replace_invalid_utf8(text::cut_utf8(tried.output, 500)));
  }
  sandbox.lacks_ = tried.without;
  return sandbox;
}

Result<os::SandboxResult> CodeSandbox::run(const SuiteTask& task,
                                           const std::string& program) const {
  os::SandboxLimits limits;
  limits.wall_s = task.timeout_s;
  limits.cpu_s = task.timeout_s;
  limits.memory_bytes = int64_t{task.memory_mb} << 20;
  os::SandboxJob job;
  job.command = {python_.program, "-B", "-s"};
  job.file_name = "answer.py";
  job.file_text = program;
  job.readable = os::system_readable();
  job.readable.insert(job.readable.end(), python_.readable.begin(), python_.readable.end());
  return os::run_sandboxed(job, limits);
}

}  // namespace weir::ops
