"""Marks for tests in several files. A mark skips a test on some systems, or runs it in several variants."""

import os

import pytest

as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give up root")
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that stop the program")
needs_terminals = pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system can't make terminals")
in_each_form = pytest.mark.parametrize("processes", ["1", "2"])
