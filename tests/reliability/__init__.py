"""Requirements when clients, files and the machine are at their worst: one module for each experiment.

``python3 -m tests.reliability [NAME ...] [--long] [--server nginx]`` prints what was measured against what must hold.
All traffic stays on loopback, and every loop is bounded in count and time.
"""
