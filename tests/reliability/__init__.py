"""Requirements under the worst clients, files and machines: one module for each experiment.

``python3 -m tests.reliability [NAME ...] [--long] [--server nginx]`` prints each result beside its requirement.
All traffic stays on loopback, and every loop is bounded in count and time.
"""
