"""Send the corpus to a running server, and judge its responses.

responses, wire a strict reader of responses; one exchange with a server, which may be hostile allowances the choices
that the RFC leaves to a server probes the octets sent for a case, and the judgement on the responses target, trials
whether the server still answers; trying a few cases at a time, and finding one that stops it corpus_run all cases
against one server results, causes one result; groups of failures that likely have one cause outputs all results as
text, JSON, JUnit XML and HTML site, start the folder of known files; the start of a server that serves it

Imports corpus; standard library only.
"""
