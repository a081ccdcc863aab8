"""Send the corpus to a running server, and judge its responses.

responses    a strict reader of responses
wire         one exchange with a server, even a hostile one
allowances   the choices that the RFC leaves to a server
probes       the octets sent for a case, and the judgement on the responses
progress     shows the case in progress, and the cases that ran out of time
threads      calls a function in threads that an interrupt leaves behind
target       finds out whether the server still answers
trials       tries a few cases at a time, and finds a case that stops the server
corpus_run   sends all cases to one server
results      the result of one case
causes       groups of failures that probably have the same cause
outputs      all results as text, JSON, JUnit XML and HTML
site         the folder of known files
start        starts a server for this folder
testing      helpers of the tests: servers that run a script, and a call of the command check

Apart from the tests and their helpers, these files import only corpus and the standard library.
"""
