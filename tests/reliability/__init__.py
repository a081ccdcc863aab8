"""Experiments with hostile clients, changing files and overloaded machines. Each module is one experiment.

``python3 -m tests.reliability [NAME ...] [--long] [--server nginx]`` prints each result beside its requirement. All
traffic stays on loopback. Every loop has a limit on count and time.
"""
