"""The two parsers: httpsock's, which is under test, and h11, the oracle, each behind a driver of the same form.

results     requests to the last octet, and the point where two results differ
drivers     octets in, a result out, for each parser
suite       gunicorn's request files, and each difference argued
h11_client  h11 as a client, which reads a server's responses

Imports corpus, httpsock and h11; knows no sockets.
"""
