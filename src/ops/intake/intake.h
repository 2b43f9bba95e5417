// What is known of one deployment: a value for some of the fields, each with where it comes from.
//
//   version: 1
//   model:
//     name: {value: qwen3-32b, origin: given, evidence: "asked"}
//     context_tokens: {value: 32768, unit: tokens, origin: measured, evidence: config.json}
//   traffic:
//     requests_per_s: {value: null, unit: 1/s, origin: missing}   # fill in
//     concurrency: 64                                             # the same as origin given
//
// The file is taken for hostile: config::parse_yaml bounds it, unknown fields, units and values out
// of range are errors with file and line.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/intake/fields.h"

namespace weir::ops {

// How a value is known; later ones are weaker. A field without a value is missing.
enum class Origin : uint8_t {
  kGiven,     // by a person
  kMeasured,  // read from a file, a machine or a running server
  kInferred,  // computed from other values; evidence says from which
};

std::string_view origin_name(Origin origin);  // "given"

struct IntakeValue {
  config::Value value;
  Origin origin = Origin::kGiven;
  std::string evidence;  // a file, an address, or how it was computed; for people

  friend bool operator==(const IntakeValue&, const IntakeValue&) = default;
};

// Ordinary value semantics; one thread.
class Intake {
 public:
  // What `path` is, replacing what it was. Errors: kUsage for an unknown path, for a value that is
  // not of the field's type, out of its range, or a text that is no line (one not given: cleaned).
  Status set_text(std::string_view path, std::string_view value, Origin origin,
                  std::string evidence);
  Status set(std::string_view path, config::Value value, Origin origin, std::string evidence);
  void erase(std::string_view path);

  // nullptr when it is missing.
  const IntakeValue* find(std::string_view path) const;
  // nullopt when it is missing or not of that type; number() takes integers too.
  std::optional<double> number(std::string_view path) const;
  std::optional<std::string> text(std::string_view path) const;
  std::optional<bool> flag(std::string_view path) const;

  // Required fields without a value, in the order of intake_fields().
  std::vector<const IntakeField*> missing() const;

  // Values of `other` take the place of those that are missing here or known less surely; of two
  // that are known equally, other's. Returns the paths that both know and that differ.
  std::vector<std::string> merge(const Intake& other);

  const std::map<std::string, IntakeValue, std::less<>>& values() const { return values_; }

 private:
  std::map<std::string, IntakeValue, std::less<>> values_;  // by path
};

// Error kCorrupt: "NAME:LINE: ..." with what is wrong, the field and the nearest name.
Result<Intake> parse_intake(std::string_view text, std::string_view name);
// Also the errors of os::read_file.
Result<Intake> read_intake(const std::string& path);

// As a file, with required fields that are missing as lines to fill in. Reads back as the same.
std::string intake_yaml(const Intake& intake);

}  // namespace weir::ops
