"""The reports: coverage of the requirements, and a comparison of httpsock's parser with h11.

coverage the cases and checks that test each requirement figures all counts, by chapter page, markdown the report as
HTML and as Markdown, and the summary in README.md

Imports corpus, semantics, fuzz and parsers.
"""
