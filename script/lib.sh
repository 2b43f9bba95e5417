# Sourced by the other scripts: where things are, and how a section of work is announced.
set -Eeuo pipefail
trap 'echo "weir: $0: line $LINENO failed: $BASH_COMMAND" >&2' ERR
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
VENV="$ROOT/.venv"
MODEL_NAME=smollm2-135m-instruct
JOBS=${JOBS:-$(nproc)}
# Objects compiled in one checkout serve the next one too.
export CCACHE_BASEDIR="$ROOT" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-include_file_mtime,include_file_ctime}

say() { printf 'weir: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# configure PRESET [cmake arguments]: configures build/PRESET; quiet unless it fails.
configure() {
  local preset=$1; shift
  mkdir -p build
  cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 || {
    cat "build/$preset.configure.log" >&2
    die "cmake --preset $preset failed"
  }
}

# build PRESET [target...]: builds what configure() set up.
build() {
  local preset=$1; shift
  cmake --build "build/$preset" -j "$JOBS" ${1:+--target "$@"}
}

# tracked PATTERN...: files of the repository, committed or not yet, that git does not ignore.
tracked() { git ls-files -co --exclude-standard -- "$@" | sort -u | while read -r f; do [ -f "$f" ] && echo "$f"; done; }
