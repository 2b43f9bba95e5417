#include "ops/deploy/node_path.h"

#include <algorithm>

namespace weir::ops {

using config::Node;

const Node* at_path(const Node& node, std::string_view path) {
  const Node* at = &node;
  while (!path.empty() && at != nullptr) {
    const size_t end = std::min(path.find('.'), path.size());
    at = at->find(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return at;
}

std::string text_at(const Node& node, std::string_view path) {
  const Node* n = at_path(node, path);
  return n == nullptr || n->kind != Node::Kind::kScalar ? "" : n->text;
}

}  // namespace weir::ops
