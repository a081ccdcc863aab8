"""Marks that several files of tests share: what a test needs of the system, and its variants."""

import os

import pytest

as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give up root")
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that stop the program")
needs_terminals = pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system can't make terminals")
in_each_form = pytest.mark.parametrize("processes", ["1", "2"])
