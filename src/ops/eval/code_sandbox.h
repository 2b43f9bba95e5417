// Running what a model wrote: the machine's Python in a sandbox (os/sandbox.h), and the consent
// that this takes.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "ops/eval/suite.h"
#include "os/python.h"
#include "os/sandbox.h"

namespace weir::ops {

// Runs a program under the limits of its task: CodeSandbox::run.
using RunCode =
    std::function<Result<os::SandboxResult>(const SuiteTask& task, const std::string& program)>;

// kUsage: what the task would do and how that is allowed.
Error code_not_allowed(const SuiteTask& task);

class CodeSandbox {
 public:
  // python: a command. Tries the sandbox once, so that a machine without one is found before a
  // model is asked anything. Errors: those of find_python and run_sandboxed; kUnsupported when the
  // interpreter does not start in it.
  static Result<CodeSandbox> make(const std::string& python);

  // What the sandbox lacks, as a sentence; "" when it is whole.
  const std::string& lacks() const { return lacks_; }

  // The program under the limits of the task. Errors: those of run_sandboxed.
  Result<os::SandboxResult> run(const SuiteTask& task, const std::string& program) const;

 private:
  explicit CodeSandbox(os::Python python) : python_(std::move(python)) {}
  os::Python python_;
  std::string lacks_;
};

}  // namespace weir::ops
