// weir recipe: what tools that quantize elsewhere are given.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/outputs.h"
#include "ops/recipe/recipe.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

struct Options {
  ops::RecipeRequest request;
  std::string out;
  bool list = false;
  bool json = false;
};

std::string_view tool_name(ops::RecipeTool tool) {
  for (const ops::RecipeToolFacts& t : ops::recipe_tools()) {
    if (t.tool == tool) return t.name;
  }
  return "";
}

int list(const Options& o) {
  text::Json rows = text::Json::array();
  if (!o.json) {
    fmt::print("{:<15} {:<12} {:<12} {:<31} {}\n", "tool", "scheme", "method", "its name there",
               "group size, calibration");
  }
  for (const ops::RecipeRow& r : ops::recipe_rows()) {
    if (!o.request.tool.empty() && o.request.tool != tool_name(r.tool)) continue;
    if (!o.json) {
      fmt::print("{:<15} {:<12} {:<12} {:<31} {}{}\n", tool_name(r.tool), r.scheme, r.method,
                 r.name, r.groups ? "to choose" : "fixed", r.calibrates ? ", text" : "");
      continue;
    }
    text::Json row = text::Json::object();
    row.set("tool", tool_name(r.tool));
    row.set("scheme", r.scheme);
    row.set("method", r.method);
    row.set("name", r.name);
    row.set("groups", r.groups);
    row.set("calibrates", r.calibrates);
    rows.push_back(std::move(row));
  }
  if (o.json) fmt::print("{}\n", rows.dump());
  return kExitOk;
}

struct Files {
  std::string yaml;  // empty where there is none
  std::string script;
};

// Where the recipe goes and its program: beside a recipe with the same name and .py.
Result<Files> files(const Options& o, const ops::Recipe& recipe) {
  if (recipe.yaml.empty()) return Files{"", o.out};
  const std::filesystem::path yaml(o.out);
  Files f{o.out, std::filesystem::path(yaml).replace_extension(".py").string()};
  if (f.script == f.yaml) {
    return make_error(ErrorCode::kUsage,
                      "-o {}: the recipe is YAML, and its program goes beside it as .py; name the "
                      "recipe .yaml",
                      o.out);
  }
  return f;
}

Status write(const Files& f, const ops::Recipe& recipe) {
  if (!f.yaml.empty()) WEIR_TRY(os::write_file_atomic(f.yaml, recipe.yaml));
  return os::write_file_atomic(f.script, recipe.script);
}

void print_json(const Options& o, const ops::Recipe& recipe) {
  text::Json j = text::Json::object();
  j.set("tool", recipe.tool->name);
  j.set("keys_of", recipe.tool->title);
  j.set("keys_checked", ops::kRecipeKeysChecked);
  j.set("model", o.request.model);
  j.set("scheme", recipe.row->scheme);
  j.set("method", recipe.row->method);
  j.set("group_size", recipe.group_size == 0 ? text::Json() : text::Json(recipe.group_size));
  j.set("recipe", recipe.yaml.empty() ? text::Json() : text::Json(recipe.yaml));
  j.set("script", recipe.script);
  fmt::print("{}\n", j.dump());
}

Result<int> recipe(const Options& o) {
  if (o.list) return list(o);
  if (o.request.tool.empty() || o.request.model.empty() || o.request.scheme.empty()) {
    return make_error(ErrorCode::kUsage,
                      "TOOL, --model and --scheme are needed; --list shows what goes together");
  }
  WEIR_ASSIGN(const ops::Recipe made, ops::make_recipe(o.request));
  if (!o.out.empty()) {
    WEIR_ASSIGN(const Files f, files(o, made));
    std::vector<std::string> read = model_files(o.request.model);
    read.push_back(o.request.calibration);
    WEIR_TRY(check_outputs({{"--out", f.yaml}, {"--out", f.script}}, read));
    WEIR_TRY(write(f, made));
    if (!o.json) {
      if (!f.yaml.empty()) fmt::print("{}: the recipe\n", f.yaml);
      fmt::print("{}: the program\n", f.script);
    }
  }
  if (o.json) {
    print_json(o, made);
  } else if (o.out.empty()) {
    fmt::print("{}", made.yaml.empty() ? made.script : made.yaml);
  }
  return kExitOk;
}

}  // namespace

void add_recipe(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "recipe", "Write what llm-compressor, GPTQModel or Model Optimizer quantize by",
      "  weir recipe llm-compressor --model org/Model --scheme W4A16 --calibration text.txt -o "
      "w4a16.yaml\n"
      "  weir recipe gptqmodel --model folder/ --scheme W4A16 --method awq --calibration "
      "chats.jsonl -o quantize.py\n"
      "  weir recipe modelopt --model folder/ --scheme FP8_DYNAMIC\n"
      "  weir recipe --list\n");
  ops::RecipeRequest& r = o->request;
  c->add_option("TOOL", r.tool, "llm-compressor, gptqmodel or modelopt");
  c->add_option("--model", r.model, "a Hugging Face folder, or a name that the tool finds");
  c->add_option("--scheme", r.scheme, "W4A16, W8A8, FP8_DYNAMIC, NVFP4 ...: see --list");
  c->add_option(
      "--method", r.method,
      "gptq, awq, smoothquant (then gptq) or rtn; without it the scheme's first of --list");
  c->add_option("--group-size", r.group_size,
                "values that share a scale: 32, 64, 128, or -1 for a whole row");
  c->add_option("--calibration", r.calibration,
                "a text, or JSON lines {\"text\"} or {\"messages\"} in a .jsonl; the program reads "
                "it");
  c->add_option("--samples", r.samples, "pieces of text to calibrate with")->capture_default_str();
  c->add_option("--sequence", r.sequence_tokens, "tokens of a piece")->capture_default_str();
  c->add_option("-o,--out", o->out,
                "the file to write; of llm-compressor the recipe, with the program beside it as "
                ".py");
  c->add_flag("--list", o->list, "what goes together, of TOOL or of all");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return recipe(*o); }; });
}

}  // namespace weir::cli
