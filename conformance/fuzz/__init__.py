"""The fuzzer: a search for octets that httpsock's parser and h11 read differently without an explanation.

generator, faults   requests by the grammar, and broken in one place
lenient             the parts of a request, read without either parser
differences         the classes of explained differences, in differences.toml
search              the search, and the command

Imports corpus and parsers.
"""
