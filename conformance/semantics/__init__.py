"""The static semantics: checks of the meaning of a file server's responses, beyond their syntax.

session           the requests of one check, and the helpers that checks share
messages, fields, conditions, ranges, paths   the checks, by subject
checks            the list of all checks
run               runs all checks against one server
broken_servers    servers that fail the checks, for the tests

Apart from the tests, these files import only corpus, live and the standard library.
"""
