#!/bin/sh
# Runs a Python test with the interpreter that script/bootstrap made; ctest takes exit code 77 as skipped.
# usage: with_venv.sh TEST.py
root=$(cd "$(dirname "$0")/.." && pwd)
if [ ! -x "$root/.venv/bin/python" ]; then
  echo "skipped: .venv is not there (script/bootstrap makes it)"
  exit 77
fi
exec "$root/.venv/bin/python" "$@"
