"""Observation: watch a server, by a trace or by a live page.

Without --trace or --inspect, a server loads none of these files. In reading order:

    traced            the parts of a traced server, which emit an event for each step
    traced_transport  the calls of a connection's socket
    traced_files      the calls of a document root
    recorder          the latest events and all counters, in memory
    routes            access control and responses of the inspector
    inspected         a traced server that also serves the inspector
    page.html         the inspector's page
"""
