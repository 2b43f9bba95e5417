// What CLI11 takes for a value and no command does.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace weir::cli {

// Of the values of a parsed command line the first that is none, in a sentence with its option: an
// empty one, which would pass for "not given" (a text that a model reads may be empty, and a flag
// of weir serve, which wins over its file), and a number that is NaN or infinite, which passes
// every range or none. "": there is none.
std::string no_value(const CLI::App& app);

}  // namespace weir::cli
