"""The corpus: cases of exact octets in twelve chapters, each a folder with a table beside its files.

verdicts        a parser's result in the short form of the tables
requirements    the requirements of the RFCs, numbered, in requirements.toml
cases           the tables and the files as values
texts           errata, and rules of other texts, each with its cases or the reason why it does not apply: texts.toml
export          the cases as JSON

Standard library only; knows no parser and no server.
"""
