"""What the tests of script/snapshot-engine share: made-up packages in a folder."""

import pathlib
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from snapshot_recipes import RECIPES  # noqa: E402
from snapshot_sources import Sources  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None


def tree(test, files):
    """A folder with these files, gone after the test."""
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    for name, text in files.items():
        path = pathlib.Path(folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return pathlib.Path(folder.name)


def options(test, engine, files):
    """{name: entry} of an engine's made-up sources."""
    entries, more = RECIPES[engine](Sources(tree(test, files)))
    return {e["name"]: e for e in entries}, more
