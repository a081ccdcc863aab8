"""HTTP: octets to values and back, without a socket.

Knows no socket, no file, no thread: everything here can be tried with octets alone.

    grammar           the ABNF of the RFCs as patterns
    messages          requests and responses as values
    target            the request-target and the host
    framing           where content ends
    request_parser    octets in, events out, of requests
    response_parser   the same of responses
    preconditions     the five conditional fields
    ranges            byte ranges
    negotiation       which representation a client prefers
    charsets          which charset a text is in, if it says
    media_types       the Content-Type of a name and its content
    error_response    a refusal as a response that says why
    steps             long work in steps, between which other connections run
    text              text that a person may be shown
    masking           credentials that are not shown
    protocols         other protocols, told by their first bytes
    checks            arguments that a program passes, checked in words
"""
