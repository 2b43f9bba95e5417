// weir inspect: what is in a model, what it needs, what this machine would run it with.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>

#include "checkpoint/open.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/terminal.h"
#include "gguf/file.h"
#include "kernels/isa.h"
#include "kernels/packed_matrix.h"
#include "model/config.h"
#include "model/footprint.h"
#include "os/cpu.h"
#include "os/memory.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kStepTokens = 512;  // the engine's default token budget

struct Options {
  std::string model;
  std::string load_type;
  bool tensors = false;
  bool json = false;
  uint64_t context_tokens = 0;
  KvTypeFlags kv;
};

struct TypeTotals {
  gguf::TensorType type = gguf::TensorType::kF32;
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
  uint64_t loaded_bytes = 0;     // in memory, without what stays in the mapping
  uint64_t reencoded_extra = 0;  // what re-encoding takes beyond the file

  const char* held() const;
};

// How matrices of the type are kept in memory.
const char* TypeTotals::held() const {
  if (!kernels::panel_format(type).ok()) return "not supported";
  if (kernels::is_reencoded(type)) return "re-encoded to 8 bits";
  switch (type) {
    case gguf::TensorType::kF64:
      return "rounded to F32";
    case gguf::TensorType::kIQ4_XS:
      return "same codes, values by table, scales rounded to F16";
    case gguf::TensorType::kIQ4_NL:
    case gguf::TensorType::kMXFP4:
      return "same codes, values by table";
    default:
      return "same values";
  }
}

std::map<std::string, TypeTotals> totals_by_type(const gguf::File& file, kernels::Isa isa) {
  std::map<std::string, TypeTotals> totals;
  for (const gguf::Tensor& t : file.tensors()) {
    TypeTotals& sum = totals[gguf::type_name(t.type)];
    sum.type = t.type;
    ++sum.tensors;
    sum.elements += t.elements();
    sum.bytes += t.data.size();
    const auto loaded = model::loaded_bytes(file, t, isa);
    if (!loaded.ok()) continue;
    sum.loaded_bytes += *loaded;
    if (kernels::is_reencoded(t.type) && *loaded > t.data.size())
      sum.reencoded_extra += *loaded - t.data.size();
  }
  return totals;
}

std::string shape_text(const gguf::Tensor& t) {
  return fmt::format("[{}]", fmt::join(t.shape, ", "));
}

text::Json tensor_json(const gguf::Tensor& t) {
  text::Json shape = text::Json::array();
  for (const uint64_t d : t.shape) shape.push_back(static_cast<int64_t>(d));
  text::Json o = text::Json::object();
  o.set("name", t.name);
  o.set("type", gguf::type_name(t.type));
  o.set("shape", std::move(shape));
  o.set("bytes", static_cast<int64_t>(t.data.size()));
  return o;
}

text::Json memory_json(const model::Footprint& f, kernels::KvTypes kv_types, uint64_t available) {
  text::Json o = text::Json::object();
  o.set("context_tokens", static_cast<int64_t>(f.kv_tokens));
  o.set("weight_bytes", static_cast<int64_t>(f.weight_bytes));
  o.set("kv_type_k", std::string(kernels::kv_type_name(kv_types.k)));
  o.set("kv_type_v", std::string(kernels::kv_type_name(kv_types.v)));
  o.set("kv_bytes", static_cast<int64_t>(f.kv_bytes));
  o.set("workspace_bytes", static_cast<int64_t>(f.workspace_bytes));
  o.set("total_bytes", static_cast<int64_t>(f.total_bytes()));
  o.set("available_bytes", static_cast<int64_t>(available));
  return o;
}

// Empty for a model that generates text and does not say how it would embed one.
std::string embedding_text(const model::Config& c) {
  if (!c.arch->encoder && !c.pooling.has_value()) return "";
  const std::string_view pooling =
      c.pooling.has_value() ? model::pooling_name(*c.pooling) : "not said (--pooling decides)";
  if (!c.arch->encoder)
    return fmt::format("decoder that also embeds: {} values, pooling {}", c.dim, pooling);
  return fmt::format(
      "encoder: embeddings of {} values, pooling {}, texts of up to {} tokens; generates no text",
      c.dim, pooling, c.context_tokens);
}

text::Json embedding_json(const model::Config& c) {
  text::Json o = text::Json::object();
  o.set("encoder", c.arch->encoder);
  o.set("dimensions", c.dim);
  o.set("pooling",
        c.pooling.has_value() ? text::Json(model::pooling_name(*c.pooling)) : text::Json());
  return o;
}

// What the machine side of the report needs.
struct Machine {
  std::string cpu = os::cpu_model_name();
  int cores = os::usable_cores();
  kernels::Isa isa = kernels::Isa::kScalar;
  uint64_t available_bytes = 0;
};

Result<Machine> look_at_machine() {
  Machine m;
  WEIR_ASSIGN(m.isa, chosen_isa());
  WEIR_ASSIGN(m.available_bytes, os::available_memory_bytes());
  return m;
}

// Scalars as what they are, lists as text. What JSON has no number for stays text.
text::Json metadata_json(const gguf::Value& v) {
  if (const auto flag = v.as_bool()) return *flag;
  if (const auto integer = v.as_int(); integer && gguf::is_integer(v.type)) return *integer;
  const auto number = v.as_float();
  if (!number || gguf::is_integer(v.type) || !std::isfinite(*number)) return v.to_text();
  if (v.type != gguf::ValueType::kFloat32) return *number;
  // The shortest number that reads back as this float: 1e-05, not 9.99999974737875e-06.
  return std::strtod(fmt::format("{}", static_cast<float>(*number)).c_str(), nullptr);
}

void print_json(const Options& o, const gguf::File& file, const Result<model::Config>& config,
                kernels::KvTypes kv_types, const Machine& m) {
  text::Json root = text::Json::object();
  root.set("path", file.path());
  root.set("gguf_version", static_cast<int64_t>(file.version()));
  root.set("bytes", static_cast<int64_t>(file.total_bytes()));
  text::Json metadata = text::Json::object();
  for (const gguf::Metadata& kv : file.metadata())
    metadata.set(std::string(kv.key), metadata_json(kv.value));
  root.set("metadata", std::move(metadata));
  text::Json types = text::Json::object();
  for (const auto& [name, sum] : totals_by_type(file, m.isa)) {
    text::Json row = text::Json::object();
    row.set("tensors", static_cast<int64_t>(sum.tensors));
    row.set("elements", static_cast<int64_t>(sum.elements));
    row.set("bytes", static_cast<int64_t>(sum.bytes));
    row.set("held", sum.held());
    row.set("loaded_bytes", static_cast<int64_t>(sum.loaded_bytes));
    row.set("reencoded_extra_bytes", static_cast<int64_t>(sum.reencoded_extra));
    types.set(name, std::move(row));
  }
  root.set("types", std::move(types));
  if (config.ok()) {
    const uint64_t context =
        o.context_tokens > 0 ? o.context_tokens : static_cast<uint64_t>(config->context_tokens);
    const auto f = model::estimate_footprint(file, *config, m.isa, context, kv_types, kStepTokens);
    root.set("runs", f.ok());
    root.set("embedding", embedding_json(*config));
    if (f.ok()) root.set("memory", memory_json(*f, kv_types, m.available_bytes));
    if (!f.ok()) root.set("why_not", f.error().message);
  } else {
    root.set("runs", false);
    root.set("why_not", config.error().message);
  }
  text::Json machine = text::Json::object();
  machine.set("cpu", m.cpu);
  machine.set("cores", static_cast<int64_t>(m.cores));
  machine.set("isa", std::string(kernels::isa_name(m.isa)));
  root.set("machine", std::move(machine));
  if (o.tensors) {
    text::Json list = text::Json::array();
    for (const gguf::Tensor& t : file.tensors()) list.push_back(tensor_json(t));
    root.set("tensors", std::move(list));
  }
  fmt::print("{}\n", root.dump());
}

void print_text(const Options& o, const gguf::File& file, const Result<model::Config>& config,
                kernels::KvTypes kv_types, const Machine& m) {
  const std::string format =
      file.assembled() ? "safetensors" : fmt::format("GGUF v{}", file.version());
  fmt::print("{}: {}, {}, {} tensors, {} part(s)\n\nmetadata\n", file.path(), format,
             format_bytes(file.total_bytes()), file.tensors().size(), file.parts());
  for (const gguf::Metadata& kv : file.metadata())
    fmt::print("  {:<42} {}\n", kv.key, kv.value.to_text());
  fmt::print("\nsizes by type, and how matrices are held in memory\n");
  for (const auto& [name, sum] : totals_by_type(file, m.isa)) {
    fmt::print("  {:<8} {:>5} tensors {:>14} weights {:>12}   {}", name, sum.tensors, sum.elements,
               format_bytes(sum.bytes), sum.held());
    if (sum.reencoded_extra > 0)
      fmt::print(" at load: {} more than in the file", format_bytes(sum.reencoded_extra));
    fmt::print("\n");
  }
  if (o.tensors) {
    fmt::print("\ntensors\n");
    for (const gguf::Tensor& t : file.tensors()) {
      fmt::print("  {:<40} {:<6} {:<22} {:>12}\n", t.name, gguf::type_name(t.type), shape_text(t),
                 format_bytes(t.data.size()));
    }
  }
  fmt::print("\nthis machine: {}, {} core(s), kernels {}, {} of memory available\n", m.cpu, m.cores,
             kernels::isa_name(m.isa), format_bytes(m.available_bytes));
  if (!config.ok()) {
    fmt::print("does not run here: {}\n", config.error().message);
    return;
  }
  const uint64_t context =
      o.context_tokens > 0 ? o.context_tokens : static_cast<uint64_t>(config->context_tokens);
  const auto footprint =
      model::estimate_footprint(file, *config, m.isa, context, kv_types, kStepTokens);
  if (!footprint.ok()) {
    fmt::print("does not run here: {}\n", footprint.error().message);
    return;
  }
  if (const std::string text = embedding_text(*config); !text.empty()) fmt::print("{}\n", text);
  const model::Footprint& f = *footprint;
  fmt::print(
      "memory to serve one context of {} tokens: weights {} + KV cache {} ({} bytes a token) + "
      "workspace {} = {}\n",
      context, format_bytes(f.weight_bytes), format_bytes(f.kv_bytes),
      config->kv_bytes_per_token(kv_types), format_bytes(f.workspace_bytes),
      format_bytes(f.total_bytes()));
}

Result<int> inspect(const Options& o) {
  WEIR_ASSIGN(const kernels::KvTypes kv_types, o.kv.types());
  WEIR_ASSIGN(const std::string path, resolve_model(o.model));
  checkpoint::OpenOptions open;
  if (!o.load_type.empty()) {
    WEIR_ASSIGN(open.load_type, checkpoint::parse_load_type(o.load_type));
  }
  WEIR_ASSIGN(const checkpoint::OpenedModel model, checkpoint::open_model(path, open));
  const gguf::File& file = model.file;
  WEIR_ASSIGN(const Machine machine, look_at_machine());
  const Result<model::Config> config = model::read_config(file);
  if (o.json) {
    print_json(o, file, config, kv_types, machine);
  } else {
    print_text(o, file, config, kv_types, machine);
  }
  return kExitOk;
}

}  // namespace

void add_inspect(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(root, "inspect",
                            "Metadata, sizes, memory at a context length, and what runs it here",
                            "  weir inspect smollm2-135m-instruct\n"
                            "  weir inspect model.gguf --tensors --json | jq .types\n");
  add_model_argument(c, o->model);
  add_load_type(c, o->load_type);
  c->add_option("--ctx", o->context_tokens,
                "tokens of context for the memory figure (default: the trained window)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 27));
  add_kv_type_options(c, o->kv);
  c->add_flag("--tensors", o->tensors, "list every tensor");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return inspect(*o); }; });
}

}  // namespace weir::cli
