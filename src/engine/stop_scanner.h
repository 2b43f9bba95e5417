// Finds stop strings in text that arrives in pieces, across the pieces' borders.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::engine {

// One sequence's scanner. Holds back as little as may still become a stop string.
class StopScanner {
 public:
  explicit StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  struct Output {
    std::string text;      // safe to show
    bool stopped = false;  // a stop string was found; text ends before it, and nothing follows
  };
  Output push(std::string_view piece);
  // What is still held back, when generation ended for another reason.
  std::string flush();

 private:
  std::vector<std::string> stops_;
  std::string held_;
};

}  // namespace weir::engine
