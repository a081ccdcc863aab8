"""HTTP: parse octets into values and format values as octets, without a socket.

Knows no socket, file or thread, so octets alone are enough to test it. In reading order:

    grammar           the ABNF of the RFCs as patterns
    messages          requests and responses as values
    target            the request-target and the host
    framing           where content ends
    known_heads       a cache of heads and of their parts, which clients repeat
    message_reader    octets in, content out: the base of the two parsers
    request_parser    requests: octets in, events out
    response_parser   responses: octets in, events out
    preconditions     the five conditional fields
    ranges            byte ranges
    negotiation       which representation a client prefers
    charsets          the charset that a text declares
    media_types       the Content-Type of a file, from its name and content
    error_response    a refusal as a response that explains itself
    handler           handlers, middlewares, and the context of a request
    text              text that is safe to print
    masking           credentials, hidden in all output
    protocols         other protocols, recognised by their first bytes
    checks            checks of the arguments that a program passes
"""
