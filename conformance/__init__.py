"""The conformance instrument: what HTTP/1.1 means, held against httpsock, against h11, and against any running server.

    python3 -m conformance check http://127.0.0.1:8000/     coverage | fuzz | report

The corpus: corpus/ has one file of exact octets for each case, corpus.toml what each reader must make of it.

cases               the table and the files as values
judges              the readers, whose verdicts have one form
requirements        what the RFCs require, and what no octets can show
coverage            which requirement is tried by what

Against a running server:

responses, wire     a strict reader of responses; one exchange, whatever the server does
plays, allowances       what is sent for a case, and what the RFC lets a server answer
semantics           what a server for files must say: messages, fields, conditions, ranges, paths (semantic_*)
start, live         a server to check, and the check
outputs             its results as a table, JSON, JUnit and HTML

Beyond the corpus:

generator, faults   requests by the grammar, and broken in one place
readings, lenient   what both readers make of them, exactly; the octets seen without either
differences         the classes of differences that are explained
fuzz                the search for others
figures, report     where the judges stand, as a page

Each test_* file holds what its module says.
"""
