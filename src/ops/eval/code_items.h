// Items whose answers are Python that must pass tests, and the program that decides. The texts are
// taken for hostile; nothing is run here. Any thread.
//
// "humaneval" is an object a line as OpenAI's HumanEval has it: task_id, prompt (the head of a
// function, with its docstring), test (defines check(candidate)), entry_point (the function's
// name). "mbpp" is as Google's MBPP: task_id, text or prompt (the task in words), test_list
// (assertions), and where they are there test_setup_code (a text) and test_imports (a list).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"
#include "os/sandbox.h"
#include "text/json.h"

namespace weir::ops {

// GenerateItem::expected of an item: an object with "before" (code that stands before the answer),
// "prompt" (the head that an answer may go on with), "entry_point" (or "") and "tests".
// Errors: kCorrupt naming file, line and member, ids that stand twice too; kLimit.
Result<std::vector<GenerateItem>> parse_code_items(const SuiteTask& task, const NamedText& file);

// The exit code of a program that has come through its tests: of 112 that which the answer's hash
// chooses, so that one that stops early is hardly mistaken for one that is right.
int pass_code_of(std::string_view answer);

// The code of an answer: of its ``` blocks the first that defines `entry_point`, or the first, or
// else the whole answer.
std::string code_of(std::string_view answer, std::string_view entry_point);

// The answer with its tests, which exits with pass_code then. An answer that does not define the
// entry point goes on with the prompt's head.
std::string code_program(const text::Json& expected, std::string_view answer, int pass_code);

// "acc", and "timed_out" for what the clock of CPU or wall ended.
EvalScores score_code(const os::SandboxResult& run, int pass_code);
// What a person reads in results of how the tests went.
std::string shown_outcome(const text::Json& expected, const os::SandboxResult& run, int pass_code);

}  // namespace weir::ops
