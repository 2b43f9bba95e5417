#!/usr/bin/env python3
"""Writes src/quant/codebooks.cc, the constant tables of the IQ formats, from the Python package `gguf`, which defines them.

    .venv/bin/python tests/golden/make_codebooks.py [file]

Each entry of a table is a row of small magnitudes. It is kept as the indexes of its values in a short list, value 0 in the
lowest bits: eight of 2 bits, or four of 3 bits.
"""
import pathlib
import sys

import numpy as np
from gguf import quants

# name, class, bits of an index
TABLES = [("Iq2Xxs", quants.IQ2_XXS, 2), ("Iq2Xs", quants.IQ2_XS, 2), ("Iq2S", quants.IQ2_S, 2), ("Iq1S", quants.IQ1_S, 2),
          ("Iq3Xxs", quants.IQ3_XXS, 3), ("Iq3S", quants.IQ3_S, 3)]
HEAD = """// The codebooks of the IQ formats. Made by tests/golden/make_codebooks.py from the Python package
// `gguf`; not written by hand.
#include "quant/codebooks.h"

namespace weir::quant {

// clang-format off
"""


def table(name, cls, bits):
    cls.init_grid()
    grid = cls.grid.reshape(cls.grid_shape)
    index = np.zeros(len(grid), dtype=np.int64)
    for column in range(grid.shape[1]):
        index += np.searchsorted(cls.grid_map, grid[:, column]) << (bits * column)
    lines = [", ".join(f"0x{v:04x}" for v in index[i:i + 12]) + "," for i in range(0, len(index), 12)]
    return f"const uint16_t k{name}Codebook[{len(index)}] = {{\n  " + "\n  ".join(lines) + "\n};\n"


def main():
    file = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "src/quant/codebooks.cc"
    file.write_text(HEAD + "\n".join(table(*t) for t in TABLES) + "// clang-format on\n\n}  // namespace weir::quant\n")


if __name__ == "__main__":
    main()
