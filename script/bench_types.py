"""Every type that llama-quantize writes too: the file by weir with an importance matrix, beside llama-quantize's with the same and without:
size, mean KL divergence from the base, top-1 agreement, perplexity, seconds to write, and what weir runs its own file at."""

import json
import pathlib
import sys
import tempfile
import time

import bench_quantize as common

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import quantize_test


def speed(model):
    """Prefill of 512 tokens and decode of 64, tokens/s."""
    rows = json.loads(common.run("bench", "engine", model, "--prompt", 512, "--gen", 64, "--json")[0])["rows"]
    return [next(row["tok_s"] for row in rows if row["test"].startswith(test)) for test in ("pp", "tg")]


def llama(base, path, name, imatrix):
    start = time.monotonic()
    quantize_test.llama_quantize(base, path, name, imatrix)
    return time.monotonic() - start


def main():
    arguments = [a for a in sys.argv[1:] if a != "--alone"]
    base, calibration, test = map(pathlib.Path, arguments[:3])
    if shared := common.overlap(calibration, test):
        raise SystemExit(f"{shared} lines of {test} stand in {calibration} too: the figures would flatter")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        imatrix, saved, path = folder / "imatrix.gguf", folder / "base.kl", folder / "file.gguf"
        common.run("imatrix", base, "--data", calibration, "--chunks", common.CALIBRATION_CHUNKS, "-o", imatrix)
        common.run("eval", "kl", base, "-f", test, "--chunks", common.TEST_CHUNKS, "--save-base", saved)
        print("| type | by | MiB | KL | top-1, % | ppl | s | prefill | decode |\n|---|---|---|---|---|---|---|---|---|", flush=True)
        for name in arguments[3:] or quantize_test.FILE_TYPES:
            writers = [("weir", lambda: common.run("quantize", base, path, "--type", name, "--imatrix", imatrix)[1])]
            if "--alone" not in sys.argv:
                writers += [("llama-quantize, importance", lambda: llama(base, path, name, imatrix)), ("llama-quantize", lambda: llama(base, path, name, None))]
            for by, write in writers:
                seconds = write()
                mean, error, top1, ppl = common.kl(path, saved)
                rates = speed(path) if by == "weir" else []
                print(f"| {name} | {by} | {path.stat().st_size / 2**20:.1f} | {mean:.4f} ± {error:.4f} | {100 * top1:.1f} | {ppl:.2f} | "
                      f"{seconds:.1f} | {' | '.join(f'{r:.0f}' for r in rates) or ' | '} |", flush=True)


if __name__ == "__main__":
    main()
