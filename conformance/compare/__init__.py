"""The comparison: check many servers, run the corpus through many parsers, and write a page on each.

servers the table of servers, servers.toml; how each server is installed and started compared the results as values,
which a JSON file stores arguments the words of the RFC for each MUST that a well-known server breaks: arguments.toml
markdown the page on servers as Markdown page the same page as HTML run the command compare libraries, drivers,
libraries_page the command parsers, a driver for each parser, and the page on parsers

Imports corpus, live and check; standard library only.
"""
