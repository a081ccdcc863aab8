"""Testing: a real server in a test, which records each request and answers as the test defines.

For tests of clients, with or without pytest. Loaded only when it is used. The server is the real one, except for three
parts. Its accept queue may refuse connections, its transport records octets, and a middleware answers requests.

    plugin        the fixtures of pytest; the report of a failed test shows the requests
    server        the server of a test
    answers       which answer a request gets
    faults        the faults: each breaks a response or a connection in one known way
    broken        break responses and connections, by path, number and chance
    listening     refuse connections for a time, or accept them late
    exact         send exact octets as an answer, even octets that no well-behaved server sends
    transport     record the octets received on a connection
    recording     the requests that arrived, as received and as parsed
"""
