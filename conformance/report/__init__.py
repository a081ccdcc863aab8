"""The reports: coverage of the requirements, and a comparison of httpsock's parser with h11.

coverage   the cases and checks that test each requirement
figures    all counts, by chapter
page       the report as HTML
markdown   the report as Markdown, the summary in README.md, and the command report

Imports corpus, semantics, fuzz and parsers.
"""
