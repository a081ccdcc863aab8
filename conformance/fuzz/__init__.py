"""The fuzzer: search for octets that httpsock's parser and h11 read differently for no known reason.

generator, faults generate valid requests, and requests with one fault lenient splits a request into its parts without
either parser differences the classes of known differences, in differences.toml search the search, and the command fuzz

Imports corpus and parsers.
"""
