"""The fuzzer: search for octets that httpsock's parser and h11 read differently for no known reason.

generator     generates valid requests, and octets with random changes
faults        puts one fault into a request
lenient       splits a request into its parts without either parser
differences   the kinds of known differences, in differences.toml
search        the search, and the command fuzz

Imports corpus and parsers.
"""
