"""Conformance tests of HTTP/1.1, for httpsock, for h11, and for any running server.

    python3 -m conformance check http://127.0.0.1:8000/
    python3 -m conformance compare | coverage | export | fuzz | parsers | report | suite

Seven wings, in reading order; each __init__ lists its files. A wing imports only wings above it:

corpus      cases of exact octets, with the verdict that each parser must reach
parsers     httpsock's parser and h11, behind two drivers of one form
live        the corpus sent to a running server
semantics   checks of the responses of a server for files
fuzz        the search for differences beyond the corpus
report      coverage and standing, as pages
compare     servers and parsers that others have written, each on one page

check is the command that joins live and semantics. Each test_* file stands beside the modules that it tests.
"""
