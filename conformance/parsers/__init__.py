"""Two parsers with results of the same form: httpsock's parser, which is under test, and h11, the oracle.

results         the requests that a parser found in some octets, and the point where two results differ
drivers         a function for each parser, from octets to a result
suite           a comparison of httpsock with gunicorn and llhttp, on the messages of their tests
message_files   the files with these messages
h11_client      h11 as a client, which reads the responses of a server

Imports corpus, httpsock and h11; knows no sockets.
"""
