// Conditions of decision trees over the fields of an intake, with three answers: what is not known
// stays unknown unless the rest decides (Kleene's logic).
//
//   slo.throughput_tok_s > 10000 or observed.total_ms_p99 > 3 * observed.total_ms_p50
//   traffic.kind in (chat, agents) and not stack.prefix_cache
//   known(observed.queue_ms_mean)
//
// or, and, not; == != < <= > >= in; + - * /; ( ); numbers, fields, words (choices, true, false).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/intake/intake.h"

namespace weir::ops {

enum class Truth : uint8_t { kNo, kYes, kUnknown };
std::string_view truth_name(Truth truth);  // "no", "yes", "unknown"

// Immutable; copies share the tree. Any thread.
class Expression {
 public:
  struct Node;

  // At most 2,000 bytes and 32 levels deep. Error kCorrupt: what is wrong and at which byte, with
  // the nearest field, the choices of a field that is compared with another word, or the types.
  static Result<Expression> parse(std::string_view text);

  Truth evaluate(const Intake& intake) const;
  // Of an arithmetic expression; nothing when a field of it is not known or it divides by 0.
  std::optional<double> number(const Intake& intake) const;

  const std::string& text() const { return text_; }
  // Each once, in the order in which they stand.
  const std::vector<std::string>& fields() const { return fields_; }

 private:
  Expression() = default;
  std::string text_;
  std::vector<std::string> fields_;
  std::shared_ptr<const Node> root_;  // shared: copies of an immutable tree
};

}  // namespace weir::ops
