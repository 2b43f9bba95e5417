"""llama.cpp by llama-cpp-python without its log: `from quiet_llama import llama_cpp`. Skips, saying why, where that is not installed."""

import weir_process as weir

try:
    import llama_cpp
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    raise SystemExit(weir.SKIP)

QUIET = llama_cpp.llama_log_callback(lambda *_: None)  # kept: the library calls it
llama_cpp.llama_log_set(QUIET, None)
