// A self-contained HTML page: no script, no outside resource, dark and light by the reader's
// preference. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::plot {

// The whole page around `body`; title is escaped.
std::string html_page(std::string_view title, std::string_view body);

// <table>: the first row is the head, the first column left-aligned and the others right; cells are
// markup already.
std::string html_table(const std::vector<std::vector<std::string>>& rows);

// A tile of the headline: name, value with unit, a line below.
std::string html_tile(std::string_view name, std::string_view value, std::string_view below);

}  // namespace weir::plot
