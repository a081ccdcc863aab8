"""The reports: coverage of the requirements, and the parsers of httpsock and h11 side by side.

coverage        the cases and checks that test each requirement
figures         all counts, by chapter
page, markdown  the report as HTML and as Markdown, and the summary in README.md

Imports corpus, semantics, fuzz and parsers.
"""
