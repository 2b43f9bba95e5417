// A compiled template.
#pragma once

#include "text/jinja/ast.h"

namespace weir::text::jinja {

class Template {
 public:
  explicit Template(Body body) : body_(std::move(body)) {}
  const Body& body() const { return body_; }

 private:
  Body body_;
};

}  // namespace weir::text::jinja
