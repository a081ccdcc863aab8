"""Foreign protocols: recognise other protocols than HTTP/1.1 by the first octets of a connection.

Takes octets, gives the reason for a refusal as text. Most protocols start with an octet that no HTTP method contains.
Then the first octet is enough. SSH and PROXY are recognised by a whole line. So the reason does not depend on how many
octets arrive together. RFC 8446 §5.1 (TLS), RFC 1928 §3 (SOCKS), RFC 4253 §4.2 (SSH).
"""

_TLS = "a TLS handshake on a plain HTTP port"
_SOCKS = "a SOCKS request on an HTTP port"
# A method can't contain any of these octets. 0x80 begins a ClientHello in the form of SSLv2.
_FIRST_OCTETS = {0x16: _TLS, 0x15: _TLS, 0x80: _TLS, 0x05: _SOCKS, 0x04: _SOCKS}
_FIRST_OCTETS |= {0x03: "an RDP connection request on an HTTP port", 0x10: "an MQTT request on an HTTP port"}
_SSH = (b"SSH-1.", b"SSH-2.")
_PROXY = (b"PROXY TCP4", b"PROXY TCP6", b"PROXY UNKNOWN")


def foreign_protocol(octets: bytes) -> str | None:
    """Return the reason to refuse a connection that starts with *octets*, or None if its protocol may be HTTP."""
    if octets.startswith(_SSH):
        return "an SSH greeting on an HTTP port"
    if octets.startswith(_PROXY):
        return "a header of the PROXY protocol, which is not supported"
    return _FIRST_OCTETS.get(octets[0]) if octets else None
