"""Tracing: what happens at a socket, as events, and how they are written.

Knows nothing of what HTTP means: an event has a name and attributes.

    events            an event as text or as JSON
    trace             events in order, written by a thread of its own
    sockets           sockets that emit an event for each call
    tcp_info          what the kernel knows of a connection
    output            bytes to standard error, whole
"""
