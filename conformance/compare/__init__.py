"""The comparison: check many servers, run the corpus through many parsers, and write a page on each.

servers          the table of servers, servers.toml, and how to install and start each server
compared         the results as values, which a JSON file stores
arguments        the words of the RFC for each MUST that a well-known server breaks: arguments.toml
markdown         the page on servers as Markdown
page             the page on servers as HTML
run              the command compare
libraries        the command parsers
drivers          a driver for each parser
libraries_page   the page on parsers

Imports corpus, live and check; standard library only.
"""
