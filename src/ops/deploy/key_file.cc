#include "ops/deploy/forms.h"

namespace weir::ops {
namespace {

using config::Node;

void flatten(const Node& node, const std::string& path, int line, std::vector<KeyValue>& out) {
  KeyValue v;
  v.path = path;
  v.line = line;
  switch (node.kind) {
    case Node::Kind::kNull:
      v.kind = KeyValue::Kind::kNull;
      break;
    case Node::Kind::kScalar:
      v.value = node.text;
      break;
    case Node::Kind::kList:
      v.kind = KeyValue::Kind::kList;
      break;
    case Node::Kind::kMap:
      v.kind = KeyValue::Kind::kMap;
      break;
  }
  out.push_back(std::move(v));
  for (const config::Member& m : node.members) flatten(m.value, path + "." + m.key, m.line, out);
  for (const Node& item : node.items) {
    if (item.kind == Node::Kind::kMap || item.kind == Node::Kind::kList)
      flatten(item, path + "[]", item.line, out);
  }
}

}  // namespace

void read_key_file(const ConfigText& source, const Node& root, Deployment& out) {
  out.form = ConfigForm::kKeys;
  WorkloadSpec w;
  ContainerSpec c;
  w.kind = "file";
  w.line = c.line = root.line;
  EngineCall call;
  call.engine = source.engine;
  call.line = root.line;
  for (const config::Member& m : root.members) flatten(m.value, m.key, m.line, call.keys);
  c.call = std::move(call);
  w.containers.push_back(std::move(c));
  out.workloads.push_back(std::move(w));
}

}  // namespace weir::ops
