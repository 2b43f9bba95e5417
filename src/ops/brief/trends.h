// Questions whose answers age, as data/trends.yaml tells them: kinds, topics, searches.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct TrendKind {
  std::string id;  // "compare"
  std::string title;
  std::vector<std::string> words;
  std::vector<std::string> searches;
};

struct TrendTopic {
  std::string id;  // "engine"
  std::string title;
  std::vector<std::string> words;
  std::vector<std::string> trees;          // decision trees that rest on it
  std::vector<std::string> source_topics;  // of the ledger
  std::vector<std::string> files;          // of data/, with a day in `checked`
  int fresh_days = 60;                     // for which a brief stands
  std::vector<std::string> searches;
};

struct Trends {
  std::vector<std::string> ignore;
  std::vector<TrendKind> kinds;
  std::vector<TrendTopic> topics;

  const TrendTopic* topic(std::string_view id) const;
};

// Error kCorrupt: "NAME:LINE: ..." for an unknown or missing key.
Result<Trends> parse_trends(std::string_view text, std::string_view name);
// What the program carries. A test holds that it parses, and that its trees and files are there.
Result<Trends> built_in_trends();

struct TrendQuestion {
  std::string text;
  const TrendKind* kind = nullptr;  // nullptr: no question that ages
  std::vector<const TrendTopic*> topics;
  std::string subject;  // the words that tell what it is about
  std::string x, y;     // of a comparison, else the subject
};

// Pure. trends outlives the result.
TrendQuestion read_question(std::string_view text, const Trends& trends);
// What to search before it is answered, each once. today: as day_number().
std::vector<std::string> required_searches(const TrendQuestion& question, int today);

}  // namespace weir::ops
