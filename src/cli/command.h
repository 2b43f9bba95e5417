// How a subcommand hooks into the program: it declares its options on the root and, when chosen,
// leaves the action that main() runs. An action returns the exit code, or an Error that main()
// prints and maps to one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::cli {

// Exit codes, as README.md lists them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitNo = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadInput = 3;
inline constexpr int kExitUnavailable = 4;

struct Selected {
  std::function<Result<int>()> action;
};

// The exit code that stands for a failure.
int exit_code(ErrorCode code);

// One per command; each in its own file.
void add_run(CLI::App& root, Selected& selected);
void add_serve(CLI::App& root, Selected& selected);
void add_embed(CLI::App& root, Selected& selected);
void add_tokenize(CLI::App& root, Selected& selected);
void add_inspect(CLI::App& root, Selected& selected);
void add_bench(CLI::App& root, Selected& selected);
void add_bench_load(CLI::App& bench, Selected& selected);
void add_bench_mock(CLI::App& bench, Selected& selected);
void add_bench_report(CLI::App& bench, Selected& selected);
void add_eval(CLI::App& root, Selected& selected);
void add_eval_kl(CLI::App& eval, Selected& selected);
void add_eval_compare(CLI::App& eval, Selected& selected);
void add_eval_task(CLI::App& eval, Selected& selected);
void add_quantize(CLI::App& root, Selected& selected);
void add_imatrix(CLI::App& root, Selected& selected);
void add_recipe(CLI::App& root, Selected& selected);
void add_config(CLI::App& root, Selected& selected);
void add_keys(CLI::App& root, Selected& selected);
void add_init(CLI::App& root, Selected& selected);
void add_intake(CLI::App& root, Selected& selected);

// What --file names, "-" being standard input. Errors: those of os::read_file.
Result<std::string> read_input(const std::string& file, uint64_t max_bytes);

// What is wrong with the text of a seed, or "": CLI11 takes -1 and what is too large for the
// largest number, and 010 for 8.
std::string seed_problem(const std::string& value);

// A subcommand whose help starts with examples.
CLI::App* add_command(CLI::App& root, const std::string& name, const std::string& summary,
                      const std::string& examples);

}  // namespace weir::cli
