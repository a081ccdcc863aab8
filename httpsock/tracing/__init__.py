"""Tracing: record each socket call as an event, and write the events.

Must not know the meaning of HTTP. An event is only a name and attributes. In reading order:

    events            format an event as text or as JSON
    trace             queue the events, and write them in order from a thread
    sockets           sockets that emit an event for each call
    tcp_info          the kernel's numbers for a connection
    output            write whole lines to standard error
"""
