"""Experiments with hostile clients, changing files and overloaded machines, each in a module of its own.

``python3 -m tests.reliability [NAME ...] [--long] [--server nginx]`` prints each result beside its requirement.
All traffic stays on loopback, and every loop is bounded in count and time.
"""
