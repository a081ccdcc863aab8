"""The corpus: test cases of exact octets in twelve chapters. Each chapter is a folder with a table beside its files.

verdicts        the result of a parser, in the short form that the tables of the corpus use
requirements    the requirements of the RFCs, numbered, in requirements.toml
cases           the tables and the files as values
texts           errata, and rules of other texts, with their tests: texts.toml
export          the cases as JSON

Imports only the standard library, so neither a parser nor a server.
"""
