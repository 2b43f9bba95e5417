// Whether a JSON value is what a JSON Schema says (draft 2020-12, the part that schemas of answers
// use): type, enum, const, properties, required, additionalProperties, patternProperties,
// propertyNames, minProperties, maxProperties, items, prefixItems, contains, minItems, maxItems,
// uniqueItems, minLength, maxLength, pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
// multipleOf, allOf, anyOf, oneOf, not, if, then, else, and $ref into the schema itself. Any
// thread.
#pragma once

#include <string>

#include "base/result.h"
#include "text/json.h"

namespace weir::text {

// Whether all of the schema is understood. Errors name the place ("/properties/a"): kInvalidValue
// for a keyword with a wrong value, kUnsupported for one that would be left out.
Status check_schema(const Json& schema);

struct SchemaVerdict {
  // "": value is valid. Otherwise the first thing that is wrong, with its place:
  // "/items/0 must be of type integer".
  std::string violation;
  // A bound of steps, depth or a pattern's steps was met; what the schema says of the value is not
  // known, and `violation` tells that.
  bool gave_up = false;
};
// Precondition: check_schema(schema).ok().
SchemaVerdict judge_by_schema(const Json& schema, const Json& value);
inline std::string schema_violation(const Json& schema, const Json& value) {
  return judge_by_schema(schema, value).violation;
}

}  // namespace weir::text
