#!/usr/bin/env python3
"""Writes the golden files of tests/golden/quant with the Python package `gguf`, which is the definition of the formats.

    .venv/bin/python tests/golden/make_quant.py [directory]

decode_<type>.bin holds encoded blocks, decode_<type>.f32 the values they stand for (little-endian f32).
encode_<type>.f32 holds values, encode_<type>.bin the blocks they become. src/quant/codec_test.cc reads both.
Deterministic: running it again changes nothing unless the package's arithmetic does.
"""
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf import quants

DECODE = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K,
          T.IQ1_S, T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_NL, T.IQ4_XS,
          T.TQ1_0, T.TQ2_0, T.MXFP4, T.NVFP4]
ENCODE = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q8_0]
# Where the f16 scales of a block stand.
SCALES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ1_S: [0], T.IQ1_M: [], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ4_NL: [0],
    T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64], T.MXFP4: [], T.NVFP4: [],
}
# Zeros, smallest and largest subnormal, smallest and largest normal, one and its neighbours, both signs.
EXTREME = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x7BFF, 0xFBFF, 0x3C00, 0x3BFF,
                    0x3C01, 0xBC00], dtype="<u2")


def blocks_of(qtype, rng):
    """Random codes under extreme and random finite scales; all-zero and all-one codes too."""
    size = GGML_QUANT_SIZES[qtype][1]
    count = 28 if GGML_QUANT_SIZES[qtype][0] < 256 else 10
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    blocks[0] = 0
    blocks[1] = 255
    for n, block in enumerate(blocks):
        for at in SCALES[qtype]:
            if n % 2 == 0 or n == 1:
                scale = rng.choice(EXTREME)
            else:
                scale = np.float16(rng.normal() * 0.05).view("<u2")
            block[at:at + 2] = np.frombuffer(np.array(scale, dtype="<u2").tobytes(), dtype=np.uint8)
        if qtype == T.MXFP4:
            block[0] = min(block[0], 250)  # 12 * 2^126 is the greatest value that is finite
        if qtype == T.IQ1_M and block[55] >> 4 & 7 == 7:  # the top nibble of its scattered f16 scale: keep it finite
            block[55] &= 0x3F
    return blocks


def decode_input(qtype, rng):
    if qtype == T.F16:
        finite = np.arange(0, 65536, 37, dtype=np.uint32).astype("<u2")
        finite = np.concatenate([finite, EXTREME])
        return finite[(finite & 0x7C00) != 0x7C00].view(np.uint8)
    if qtype == T.BF16:
        values = np.arange(0, 65536, 37, dtype=np.uint32).astype("<u2")
        return values[(values & 0x7F80) != 0x7F80].view(np.uint8)
    return blocks_of(qtype, rng)


def encode_input(qtype, rng):
    rows = [rng.normal(size=32) * 10.0 ** e for e in (-38, -30, -10, -6, -4, -2, -1, 0, 0, 1, 2, 3, 4)]
    rows += [np.zeros(32), np.full(32, 1.0), np.full(32, -3.25), np.linspace(-1, 1, 32), np.arange(32) - 16.0]
    rows += [np.arange(32) * 0.5, -np.arange(32) / 3.0, rng.uniform(0, 1, 32), rng.uniform(-5, -4, 32)]
    rows += [rng.choice([-1.0, 1.0], 32), rng.choice([-8.0, 7.0, 3.5, 0.5], 32)]  # ties of magnitude and of rounding
    spike = np.zeros(32)
    spike[17] = -500_000.0 if qtype != T.Q4_1 else -60_000.0
    rows += [spike, np.where(np.arange(32) == 3, 1e-6, 1e-9)]
    rows += [rng.integers(-127, 128, 32).astype(np.float64), rng.integers(-254, 255, 32) / 2.0]
    values = np.array(rows, dtype=np.float32)
    if qtype == T.F16:
        extra = np.array([65504, 65519.99, 65520, 6e-8, 2.98e-8, 2.99e-8, 6.1e-5, 6.097e-5, 1.00048828125, 1.00146484375,
                          -0.0, np.inf, -np.inf, 3.4e38, 1e-45, 2048.5, 2049.5], dtype=np.float32)
        return np.concatenate([values.ravel(), extra])
    if qtype == T.BF16:
        words = rng.integers(0, 2**32, 512, dtype=np.uint64).astype(np.uint32)
        ties = (np.arange(64, dtype=np.uint32) << 16) * 511 + 0x8000
        words = np.concatenate([words, ties])
        words = words[(words & 0x7F800000) != 0x7F800000]
        return np.concatenate([values.ravel(), words.view(np.float32)])
    return values


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "quant")
    out.mkdir(parents=True, exist_ok=True)
    with np.errstate(all="ignore"):
        for qtype in DECODE:
            data = decode_input(qtype, np.random.default_rng(int(qtype)))
            values = quants.dequantize(data, qtype)
            assert np.isfinite(values).all(), qtype
            (out / f"decode_{qtype.name}.bin").write_bytes(data.tobytes())
            (out / f"decode_{qtype.name}.f32").write_bytes(values.astype("<f4").tobytes())
        for qtype in ENCODE:
            values = encode_input(qtype, np.random.default_rng(100 + int(qtype)))
            data = quants.quantize(values, qtype)
            (out / f"encode_{qtype.name}.f32").write_bytes(values.astype("<f4").tobytes())
            (out / f"encode_{qtype.name}.bin").write_bytes(np.ascontiguousarray(data).tobytes())


if __name__ == "__main__":
    main()
