"""Testing: a real server in a test, which records each request and answers as the test says.

For tests of clients, with pytest or without. Loaded only when it is used. A server here is the server that everybody
runs, put together with a recorded transport and a middleware; the connection knows neither.

    plugin        the fixtures of pytest, and the requests beside a failed test
    server        the server of a test
    answers       which answer a request gets
    faults        responses broken in known ways, by path, number and chance
    exact         exact octets as an answer, which no well-behaved server sends
    transport     a connection's transport, recorded; and a response discarded
    recording     the requests that arrived, as received and as parsed
"""
