"""Tests of the package httpsock.processes."""
