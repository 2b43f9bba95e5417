// The Python programs of recipes: short, and complete but for the tool's package.
#include <fmt/format.h>

#include <string>

#include "ops/recipe/recipe.h"
#include "text/json.h"

namespace weir::ops {
namespace {

// Of UTF-8 without control characters a JSON string is a Python string as well.
std::string quote(std::string_view s) { return text::json_quote(s); }

// "org/Name/" to "Name".
std::string_view base_name(std::string_view model) {
  while (model.ends_with('/')) model.remove_suffix(1);
  const size_t slash = model.rfind('/');
  if (slash != std::string_view::npos) model.remove_prefix(slash + 1);
  return model.empty() || model == "." || model == ".." ? "model" : model;
}

std::string head(const Recipe& r, const RecipeScheme& scheme) {
  return fmt::format(
      "#!/usr/bin/env python3\n"
      "\"\"\"{}: {}; by {}.\n\n"
      "For {}; its keys were checked on {}, other versions may name them otherwise.\n"
      "    pip install '{}'\n"
      "\"\"\"\n\n",
      scheme.name, scheme.says, r.row->method, r.tool->title, kRecipeKeysChecked, r.tool->install);
}

std::string constants(const RecipeRequest& request, const RecipeScheme& scheme, bool calibrates) {
  std::string out = fmt::format("\nMODEL = {}\nSAVE = {}\n", quote(request.model),
                                quote(fmt::format("{}-{}", base_name(request.model), scheme.name)));
  if (calibrates) {
    out += fmt::format("CALIBRATION = {}\nSAMPLES = {}\nSEQUENCE = {}  # tokens\n",
                       quote(request.calibration), request.samples, request.sequence_tokens);
  }
  return out;
}

constexpr std::string_view kTextPieces = R"(

def pieces(tokenizer):
    """Token ids of the calibration text, cut into pieces of SEQUENCE."""
    with open(CALIBRATION, encoding="utf-8") as file:
        ids = tokenizer(file.read())["input_ids"]
    cut = [ids[i:i + SEQUENCE] for i in range(0, len(ids) - SEQUENCE + 1, SEQUENCE)][:SAMPLES]
    if not cut:
        raise SystemExit(f"{CALIBRATION} has {len(ids)} tokens; a piece takes {SEQUENCE}")
    return cut

)";

constexpr std::string_view kLinePieces = R"(

def pieces(tokenizer):
    """Token ids of the first SAMPLES lines {"text": ...} or {"messages": [...]}, SEQUENCE at most."""
    with open(CALIBRATION, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()][:SAMPLES]
    if not rows:
        raise SystemExit(f"{CALIBRATION} has no lines")
    texts = [tokenizer.apply_chat_template(row["messages"], tokenize=False) if "messages" in row else row["text"]
             for row in rows]
    return [tokenizer(text, truncation=True, max_length=SEQUENCE)["input_ids"] for text in texts]

)";

struct Parts {
  std::string imports;  // sorted as they stand
  std::string body;     // after MODEL and pieces()
};

// `more`: further arguments.
std::string load(std::string_view more) {
  return fmt::format(
      "tokenizer = AutoTokenizer.from_pretrained(MODEL)\n"
      "model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=\"auto\"{})\n",
      more);
}

constexpr std::string_view kSaveTokenizer = "tokenizer.save_pretrained(SAVE)\n";

Parts llm_compressor(const RecipeRow& row, std::string_view yaml) {
  Parts p;
  if (row.calibrates) p.imports += "from datasets import Dataset\n";
  p.imports +=
      "from llmcompressor import oneshot\n"
      "from transformers import AutoModelForCausalLM, AutoTokenizer\n";
  p.body = fmt::format("RECIPE = \"\"\"\n{}\"\"\"\n\n", yaml);
  p.body += load("");
  if (row.calibrates) {
    p.body +=
        "samples = pieces(tokenizer)\n"
        "data = Dataset.from_dict({\"input_ids\": samples, \"attention_mask\": [[1] * len(s) for s "
        "in samples]})\n"
        "oneshot(model=model, recipe=RECIPE, dataset=data, max_seq_length=SEQUENCE, "
        "num_calibration_samples=len(samples))\n";
  } else {
    p.body += "oneshot(model=model, recipe=RECIPE)\n";
  }
  p.body += "model.save_pretrained(SAVE, save_compressed=True)\n";
  p.body += kSaveTokenizer;
  return p;
}

Parts gptqmodel(const Recipe& r, const RecipeScheme& scheme) {
  const RecipeRow& row = *r.row;
  Parts p;
  p.imports = fmt::format(
      "from gptqmodel import GPTQModel\nfrom gptqmodel.quantization import {}\n", row.name);
  if (row.calibrates) p.imports += "from transformers import AutoTokenizer\n";
  // Zero points of format gptq are off by one, which gptq_v2 put right: symmetric ones bear it.
  std::string_view format = row.method == "awq" ? "gemm" : "gptq";
  if (row.method != "awq" && !scheme.symmetric) format = "gptq_v2";
  p.body = fmt::format(
      "config = {}(bits={}, group_size={}, sym={}, desc_act=False, method=\"{}\", "
      "format=\"{}\")\n",
      row.name, scheme.weight_bits, r.group_size, scheme.symmetric ? "True" : "False",
      row.method == "awq" ? "awq" : "gptq", format);
  p.body += "model = GPTQModel.load(MODEL, config)\n";
  if (row.calibrates) {
    p.body +=
        "samples = pieces(AutoTokenizer.from_pretrained(MODEL))\n"
        "data = [{\"input_ids\": s, \"attention_mask\": [1] * len(s)} for s in samples]\n"
        "model.quantize(data, batch_size=1)\n";
  } else {
    p.body += "model.quantize(calibration=None)\n";
  }
  p.body += "model.save(SAVE)\n";
  return p;
}

Parts modelopt(const Recipe& r) {
  const RecipeRow& row = *r.row;
  Parts p;
  p.imports =
      "import modelopt.torch.quantization as mtq\n"
      "import torch\n"
      "from modelopt.torch.export import export_hf_checkpoint\n"
      "from transformers import AutoModelForCausalLM, AutoTokenizer\n";
  p.body = load(", device_map=\"auto\"");
  p.body += fmt::format("config = copy.deepcopy(mtq.{})\n", row.name);
  if (row.groups) {
    p.body += fmt::format(
        "for entry in config[\"quant_cfg\"]:\n"
        "    if entry[\"quantizer_name\"] == \"*weight_quantizer\":\n"
        "        entry[\"cfg\"][\"block_sizes\"][-1] = {}\n",
        r.group_size);
  }
  if (row.calibrates) {
    p.body +=
        "samples = pieces(tokenizer)\n\n\n"
        "def forward(model):\n"
        "    for sample in samples:\n"
        "        model(torch.tensor([sample], device=model.device))\n\n\n"
        "with torch.inference_mode():\n"
        "    model = mtq.quantize(model, config, forward)\n"
        "    export_hf_checkpoint(model, export_dir=SAVE)\n";
  } else {
    p.body +=
        "with torch.inference_mode():\n"
        "    model = mtq.quantize(model, config)\n"
        "    export_hf_checkpoint(model, export_dir=SAVE)\n";
  }
  p.body += kSaveTokenizer;
  return p;
}

}  // namespace

std::string recipe_script(const Recipe& recipe, const RecipeScheme& scheme,
                          const RecipeRequest& request, std::string_view yaml) {
  const bool calibrates = recipe.row->calibrates;
  const bool lines = request.calibration.ends_with(".jsonl");
  Parts parts;
  std::string standard;
  switch (recipe.tool->tool) {
    case RecipeTool::kLlmCompressor:
      parts = llm_compressor(*recipe.row, yaml);
      break;
    case RecipeTool::kGptqModel:
      parts = gptqmodel(recipe, scheme);
      break;
    case RecipeTool::kModelOpt:
      parts = modelopt(recipe);
      standard += "import copy\n";
      break;
  }
  if (calibrates && lines) standard += "import json\n";
  if (!standard.empty()) standard += '\n';
  std::string out = head(recipe, scheme) + standard + parts.imports;
  out += constants(request, scheme, calibrates);
  if (calibrates) out += lines ? kLinePieces : kTextPieces;
  return out + '\n' + parts.body;
}

}  // namespace weir::ops
