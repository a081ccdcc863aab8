"""Observation: a server that is watched, by a trace or by a page of its own.

A server that is not watched loads none of this.

    traced            the server's parts, which emit an event for each step
    inspected         the same, and connections that answer the inspector's page
    routes            who may inspect, and the responses
    recorder          the last events and all counts, in memory
    page.html         the page
"""
