#!/usr/bin/env python3
"""Makes tests/golden/gpt-oss-folder: a tiny random model laid out as openai/gpt-oss-20b is published (safetensors, experts in MXFP4, all else in
bfloat16), and the logits that `transformers` computes for it, in float64 over keys and values in f16.

Needs torch and transformers: python3 tests/golden/make_gpt_oss_folder.py. The tests read the result and need neither. File `logits`: as
make_architectures.py writes it; the tokens are those of `text`.
"""
import json
import pathlib
import struct
import sys

import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_architectures as architectures  # noqa: E402  registers the attention over f16

HERE = pathlib.Path(__file__).parent / "gpt-oss-folder"
TEXT = "the weir holds the river back, and what the river brings runs over the weir."
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["\u0120", ".", ",", "th"]
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
# Every width differs from the others, and rows are of more than one block.
CONFIG = dict(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
              num_local_experts=3, num_experts_per_tok=2, sliding_window=16, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2,
              rope_parameters={"rope_type": "yarn", "rope_theta": 150000.0, "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                               "original_max_position_embeddings": 32})


def mxfp4(w):
    """[experts, in, out] as blocks [experts, out, in / 32, 16] (value 2i in the low half of byte i) and scales [experts, out, in / 32]."""
    x = w.float().transpose(1, 2).reshape(w.shape[0], w.shape[2], -1, 32)
    exponent = x.abs().amax(-1).clamp(min=2.0**-100).log2().floor() - 2  # 6 = 1.5 * 2^2 is the greatest code
    scaled = x / 2.0 ** exponent[..., None]
    codes = (scaled.abs()[..., None] - E2M1).abs().argmin(-1) + 8 * (scaled < 0)
    return (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8), (exponent + 127).to(torch.uint8)


def write_folder():
    torch.manual_seed(1)
    model = tf.GptOssForCausalLM(tf.GptOssConfig(**CONFIG)).eval()
    architectures.randomize(model)
    model.to(torch.bfloat16).save_pretrained(HERE)
    tensors = {}
    for name, t in load_file(HERE / "model.safetensors").items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors[name + "_blocks"], tensors[name + "_scales"] = mxfp4(t)
        else:
            tensors[name] = t
    save_file({n: t.contiguous() for n, t in tensors.items()}, HERE / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((HERE / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    config.pop("transformers_version")
    (HERE / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    vocabulary = {t: i for i, t in enumerate(["<pad>", "<s>", "</s>", *LETTERS])}
    vocabulary |= {f"<{i}>": i for i in range(len(vocabulary), CONFIG["vocab_size"])}
    (HERE / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "normalizer": None, "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "added_tokens": [{"id": i, "content": t, "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
                         for t, i in vocabulary.items() if i < 3],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["t", "h"]]}}, ensure_ascii=False) + "\n")
    (HERE / "text").write_text(TEXT)


def main():
    HERE.mkdir(exist_ok=True)
    write_folder()
    (HERE / "generation_config.json").unlink(missing_ok=True)
    ids = Tokenizer.from_file(str(HERE / "tokenizer.json")).encode(TEXT).ids
    model = tf.GptOssForCausalLM.from_pretrained(HERE, quantization_config=tf.Mxfp4Config(dequantize=True), dtype=torch.bfloat16)
    model.config._attn_implementation = "half_kv"
    model.config._experts_implementation = "eager"
    with torch.inference_mode():
        logits = model.eval().double()(torch.tensor([ids])).logits[0].float()
    (HERE / "logits").write_bytes(struct.pack(f"<ii{len(ids)}i", len(ids), logits.shape[1], *ids) + logits.numpy().tobytes())
    print(f"{len(ids)} tokens, standard deviation of the logits {float(logits.std()):.3f}")


if __name__ == "__main__":
    main()
