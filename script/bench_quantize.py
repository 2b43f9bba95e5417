"""Quantizes one base with llama-quantize (its library, by ctypes), weir's search, weir's GPTQ and weir's mixed precision at the same
size, all with one importance matrix, and prints size, mean KL divergence from the base, and seconds of each."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import quantize_test
import weir_process as weir

TYPES = ("Q3_K_M", "Q4_0", "IQ4_XS", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K")
CALIBRATION_CHUNKS = 60
TEST_CHUNKS = 8


def run(*arguments):
    start = time.monotonic()
    done = subprocess.run([str(weir.WEIR), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"weir {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout, time.monotonic() - start


def kl(model, base):
    result = json.loads(run("eval", "kl", model, "--base", base, "--json")[0])
    return result["kl_mean"], result["kl_error"], result["top1"], result["ppl"]


def overlap(calibration, test):
    """Lines of some length that stand in both texts."""
    lines = {line.strip() for line in calibration.read_text(encoding="utf-8").splitlines() if len(line) > 80}
    return sum(line.strip() in lines for line in test.read_text(encoding="utf-8").splitlines())


def main():
    parser = argparse.ArgumentParser(prog="script/bench-quantize", description=__doc__)
    for name in ("base", "calibration", "test"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, nargs="?", help="keeps the files (default: a scratch folder)")
    parser.add_argument("--only", default=",".join(TYPES), help="the types (default: %(default)s)")
    arguments, for_mixed = parser.parse_known_args()
    base, calibration, test = arguments.base, arguments.calibration, arguments.test
    scratch = tempfile.TemporaryDirectory()
    folder = arguments.folder or pathlib.Path(scratch.name)
    folder.mkdir(exist_ok=True)
    if shared := overlap(calibration, test):
        raise SystemExit(f"{shared} lines of {test} stand in {calibration} too: the figures would flatter")
    imatrix, moments, sensitivity, saved = (folder / n for n in ("imatrix.gguf", "moments.gguf", "sensitivity.json", "base.kl"))
    if not moments.exists():
        run("imatrix", base, "--data", calibration, "--chunks", CALIBRATION_CHUNKS, "-o", imatrix, "--moments", moments)
    if not saved.exists():
        run("eval", "kl", base, "-f", test, "--chunks", TEST_CHUNKS, "--save-base", saved)
    print("| type | method | MiB | KL | ± | to llama-quantize | top-1 | ppl | s |\n|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.only.split(","):
        start = time.monotonic()
        theirs = folder / f"llama-{name}.gguf"
        quantize_test.llama_quantize(base, theirs, name, imatrix)
        theirs_s = time.monotonic() - start
        reference = None
        gptq = ("--method", "gptq", "--moments", moments)
        mixed = (*gptq, "--data", calibration, "--sensitivity", sensitivity)
        plan = json.loads(run("quantize", base, "none", "--type", name, "--imatrix", imatrix, "--dry-run", "--json")[0])
        bpw = plan["bits_per_weight"]
        for method, options in (("llama-quantize", None), ("search", ("--type", name)), ("gptq", ("--type", name, *gptq)),
                                ("mixed", ("--target-bpw", f"{bpw:.5f}", *mixed, *for_mixed))):
            path, seconds = theirs, theirs_s
            if options is not None:
                path = folder / f"{method}-{name}.gguf"
                seconds = run("quantize", base, path, "--imatrix", imatrix, *options)[1]
            mean, error, top1, ppl = kl(path, saved)
            reference = reference or mean
            print(f"| {name} | {method} | {path.stat().st_size / 2**20:.1f} | {mean:.5f} | {error:.5f} | {mean / reference:.2f} | "
                  f"{top1:.3f} | {ppl:.2f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
