"""Test cases whose tests share one scratch folder."""

import pathlib
import tempfile
import unittest

import weir_process as weir


class FolderCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)

    def weir(self, *arguments, code=0):
        """What weir prints, on stderr where it is to end with another code than 0."""
        got, out, err = weir.run(*arguments, timeout_s=600)
        self.assertEqual(got, code, err)
        return out if code == 0 else err
