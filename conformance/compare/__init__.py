"""The comparison: servers that others have written, each installed, started, checked and stopped, on one page.

servers    the table of servers, servers.toml; how each is found or installed, and started
compared   what was found, as values that a file of JSON holds
arguments  why each MUST that a well-known server breaks is one: arguments.toml
markdown   the page as Markdown
page       the same as HTML
run        the command compare
libraries, drivers, libraries_page    the command parsers: the same for parsers as libraries

Imports corpus, live and check; standard library only.
"""
