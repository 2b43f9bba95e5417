#!/usr/bin/env python3
"""The Python package `gguf` as oracle: the committed golden files are what it computes today, and it reads what our writer wrote."""
import pathlib
import subprocess
import sys
import tempfile

try:
    from gguf import GGUFReader
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "quant"


def golden_files_are_current():
    with tempfile.TemporaryDirectory() as fresh:
        subprocess.run([sys.executable, ROOT / "tests/golden/make_quant.py", fresh], check=True)
        made = {p.name: p.read_bytes() for p in pathlib.Path(fresh).iterdir()}
    committed = {p.name: p.read_bytes() for p in GOLDEN.iterdir()}
    assert made.keys() == committed.keys(), made.keys() ^ committed.keys()
    stale = [name for name in made if made[name] != committed[name]]
    assert not stale, f"make_quant.py gives other bytes for {stale}"
    return len(made)


def codebooks_are_current():
    with tempfile.TemporaryDirectory() as fresh:
        made = pathlib.Path(fresh) / "codebooks.cc"
        subprocess.run([sys.executable, ROOT / "tests/golden/make_codebooks.py", made], check=True)
        assert made.read_text() == (ROOT / "src/quant/codebooks.cc").read_text(), "src/quant/codebooks.cc is not what make_codebooks.py gives"


def writer_is_understood():
    # Written by src/gguf/writer.cc; the other values of the file are not of interest here.
    reader = GGUFReader(ROOT / "fuzz/corpus/gguf/all.gguf")
    values = {name: field.contents() for name, field in reader.fields.items()}
    assert values["tokens"] == ["a", "bc", ""] and values["types"] == [1, 2, 3], values
    assert values["flag"] is True and values["u64"] == 5 and values["scores"] == [0.5, -1.0], values
    assert [t.name for t in reader.tensors] == [t.tensor_type.name for t in reader.tensors]
    assert all(set(t.data.tobytes()) == {0x5A} for t in reader.tensors)
    return len(reader.tensors)


if __name__ == "__main__":
    codebooks_are_current()
    print(f"{golden_files_are_current()} golden files current, {writer_is_understood()} tensors understood")
