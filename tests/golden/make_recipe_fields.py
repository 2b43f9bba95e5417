#!/usr/bin/env python3
"""Writes recipe_fields.json: the names that llm-compressor, GPTQModel and Model Optimizer take, out of the installed packages.

For an environment of its own with llmcompressor, gptqmodel and nvidia-modelopt[hf]; any of them may be absent, its part then stays
as it is in the file. `weir recipe` (src/ops/recipe/table.cc) names the versions and the date; change them together.

usage: make_recipe_fields.py YYYY-MM-DD
"""

import importlib.metadata
import inspect
import json
import pathlib
import sys

FILE = pathlib.Path(__file__).with_name("recipe_fields.json")


def llm_compressor():
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform import AWQModifier, SmoothQuantModifier
    modifiers = [AWQModifier, GPTQModifier, QuantizationModifier, SmoothQuantModifier]
    return {"version": importlib.metadata.version("llmcompressor"),
            "compressed_tensors": importlib.metadata.version("compressed-tensors"),
            "modifiers": {m.__name__: sorted(m.model_fields) for m in modifiers},
            "QuantizationScheme": sorted(QuantizationScheme.model_fields),
            "QuantizationArgs": sorted(QuantizationArgs.model_fields),
            "presets": sorted(PRESET_SCHEMES),
            "oneshot": sorted(inspect.signature(oneshot).parameters)}


def gptqmodel():
    import dataclasses

    import gptqmodel
    from gptqmodel.quantization import config
    classes = [config.GPTQConfig, config.AWQConfig, config.RTNConfig]
    return {"version": gptqmodel.__version__,
            "classes": {c.__name__: sorted(f.name for f in dataclasses.fields(c) if f.init) for c in classes},
            "methods": sorted(m.value for m in config.METHOD),
            "formats": sorted(f.value for f in config.FORMAT),
            "load": sorted(inspect.signature(gptqmodel.GPTQModel.load).parameters),
            "quantize": sorted(inspect.signature(gptqmodel.models.base.BaseQModel.quantize).parameters)}


def modelopt():
    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint
    weights = {name: next((e["cfg"] for e in getattr(mtq, name)["quant_cfg"] if e["quantizer_name"] == "*weight_quantizer"), None)
               for name in sorted(mtq.config.choices)}
    blocks = [name for name, cfg in weights.items() if isinstance(cfg, dict) and -1 in (cfg.get("block_sizes") or {})]
    return {"version": importlib.metadata.version("nvidia-modelopt"),
            "configs": sorted(mtq.config.choices),
            "weights_in_blocks": blocks,
            "quantize": sorted(inspect.signature(mtq.quantize).parameters),
            "export_hf_checkpoint": sorted(inspect.signature(export_hf_checkpoint).parameters)}


def main():
    fields = json.loads(FILE.read_text()) if FILE.exists() else {}
    fields["checked"] = sys.argv[1]
    for name, read in {"llm-compressor": llm_compressor, "gptqmodel": gptqmodel, "modelopt": modelopt}.items():
        try:
            fields[name] = read()
        except ImportError as missing:
            print(f"{name} stays as it was: {missing}", file=sys.stderr)
    FILE.write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
