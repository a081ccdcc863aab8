"""Any running server: the corpus sent to it, and its responses judged.

responses, wire   a strict reader of responses; one exchange, however the server behaves
allowances        the choices that the RFC leaves to a server
probes            the octets sent for a case, and the verdict on the responses
target, trials    the server while it is there; cases tried a few at a time, and what ends a server
corpus_run        all cases against one server
results, causes   one result; the failures that likely have one cause
outputs           all results as a table, JSON, JUnit and HTML
site, start       the known folder; a server that is started to serve it

Imports corpus; standard library only.
"""
