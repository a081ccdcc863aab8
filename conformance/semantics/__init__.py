"""The static semantics: 571 checks of the responses of a server for files (R082 to R148).

session           the requests of one check, and the helpers that checks share
messages, fields, conditions, ranges, paths   the checks, by subject
checks            all of them
run               all of them against one server
broken_servers    servers that break them, for the tests

Imports live; standard library only.
"""
