"""Tests of the wing "processes"."""
