"""SmolLM2's function in matrices whose rows are multiples of 256, which the K mixes want: zero columns and zero heads are added.

    script/pad_columns.py IN.gguf OUT.gguf     (IN: architecture llama, F16 or F32)

576 columns become 768, 9 heads 12. A mean square over 768 columns is 576/768 of that over 576: the norms' weights and epsilon make up for
it, so the logits stay the same to rounding. The zeros cost bytes, the same ones with every tool."""

import math
import sys

import gguf
import numpy as np

BLOCK = 256


def up(n):
    return -(-n // BLOCK) * BLOCK


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source = gguf.GGUFReader(sys.argv[1])
    value = {name: field.contents() for name, field in source.fields.items()}
    if value["general.architecture"] != "llama":
        raise SystemExit("only files of the architecture llama")
    width, heads, kv_heads = (value[f"llama.{k}"] for k in ("embedding_length", "attention.head_count", "attention.head_count_kv"))
    padded = up(width)
    if padded * kv_heads % width:
        raise SystemExit(f"{kv_heads} key heads cannot grow from {width} to {padded} columns")
    grown = {"llama.embedding_length": padded, "llama.attention.head_count": heads * padded // width,
             "llama.attention.head_count_kv": kv_heads * padded // width,
             "llama.attention.layer_norm_rms_epsilon": value["llama.attention.layer_norm_rms_epsilon"] * width / padded}
    writer = gguf.GGUFWriter(sys.argv[2], "llama")
    for name, field in source.fields.items():
        if name.startswith(("GGUF.", "weir.")) or name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, grown.get(name, value[name]), kind, sub_type=inner)
    kv_rows = width // heads * kv_heads
    sizes = {width: padded, kv_rows: kv_rows * padded // width}
    for tensor in source.tensors:
        data = np.array(tensor.data).reshape([int(n) for n in reversed(tensor.shape)])
        if tensor.name.endswith("norm.weight"):
            data = data * np.float32(math.sqrt(width / padded))
        rows_are_words = tensor.name == "token_embd.weight"
        pads = [(0, 0 if rows_are_words and axis == 0 else sizes.get(n, n) - n) for axis, n in enumerate(data.shape)]
        writer.add_tensor(tensor.name, np.pad(data, pads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
