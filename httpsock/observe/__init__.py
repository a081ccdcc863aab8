"""Observation: watch a server, by a trace or by a live page.

Without --trace or --inspect, a server loads only this docstring. In reading order:

    traced            server classes that emit an event for each step
    recorder          the latest events and all counters, in memory
    routes            access control and responses of the inspector
    inspected         traced connections that also serve the inspector
    page.html         the inspector's page
"""
