"""Other protocols on an HTTP port: the error message tells which protocol it was."""

import pytest

from httpsock.http.messages import RequestError
from httpsock.http.protocols import foreign_protocol
from httpsock.http.request_parser import Limits, RequestParser
from tests.support.rows import each_row

TLS = "a TLS handshake on a plain HTTP port"
PROXY = "a header of the PROXY protocol, which is not supported"
FOREIGN = [
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", TLS, id="a ClientHello"),
    pytest.param(b"\x16", TLS, id="the first octet of TLS"),
    pytest.param(b"\x15\x03\x03\x00\x02\x02\x46", TLS, id="a TLS alert"),
    pytest.param(b"\x80\x2e\x01\x03\x01\x00\x15", TLS, id="a ClientHello in the form of SSLv2"),
    pytest.param(b"\x05\x01\x00", "a SOCKS request on an HTTP port", id="SOCKS5"),
    pytest.param(b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "a SOCKS request on an HTTP port", id="SOCKS4"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH greeting on an HTTP port", id="SSH"),
    pytest.param(b"\x03\x00\x00\x13\x0e\xe0", "an RDP connection request on an HTTP port", id="RDP"),
    pytest.param(b"\x10\x10\x00\x04MQTT\x04", "an MQTT request on an HTTP port", id="MQTT"),
    pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", PROXY, id="PROXY protocol 1"),
]


@each_row(("octets", "name"), FOREIGN)
def test_another_protocol_is_the_reason_of_the_refusal(octets: bytes, name: str) -> None:
    assert foreign_protocol(octets) == name
    parser = RequestParser(Limits())
    parser.receive(octets)
    with pytest.raises(RequestError) as caught:
        parser.next_event()
    assert (caught.value.refusal.status, caught.value.refusal.reason) == (400, name)


@each_row("octets", [b"", b"GET / HTTP/1.1\r\n", b"\x00", b"\x01\x02", b"PROXY / HTTP/1.1", b"SSH / HTTP/1.1"])
def test_anything_else_has_no_name(octets: bytes) -> None:
    assert foreign_protocol(octets) is None
