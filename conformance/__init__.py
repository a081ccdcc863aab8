"""Tests of conformance to HTTP/1.1, for httpsock, for h11, and for any running server.

    python3 -m conformance check http://127.0.0.1:8000/
    python3 -m conformance compare | coverage | export | fuzz | parsers | report | suite

There are seven folders, in reading order. A folder imports only folders above it. Each __init__ lists its files.

corpus      test cases of exact octets, with the result that each parser must reach
parsers     a driver for httpsock's parser and one for h11, with results of the same form
live        sends the corpus to a running server
semantics   checks of a file server's responses
fuzz        a search for differences between the two parsers beyond the corpus
report      coverage, and a comparison of the two parsers
compare     results of other servers and of other parsers, with a page on each

The command check uses live and semantics. output_path checks the names of the files that a command will write, and
html_page has the frame of the HTML pages. Each test_* file stands beside the modules that it tests.
"""
