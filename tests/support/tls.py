"""A TLS transport for tests of the server. With TLS, any call may have to wait for reading or for writing.

The server itself has no TLS. This transport encrypts in memory, so each call reports what it waits for.
"""

import contextlib
import pathlib
import socket
import ssl
import subprocess
from io import FileIO

from httpsock.server.poller import WRITABLE, unsent_octets
from httpsock.server.transport import PlainTransport, WouldBlock

# One record holds as many octets at most (RFC 8446 §5.1).
_RECORD_OCTETS = 16 * 1024


def make_certificate(folder: pathlib.Path, openssl: str) -> ssl.SSLContext:
    """Write a certificate for localhost to the file "certificate" in *folder*.

    Return the TLS context of a server with this certificate.
    """
    key, certificate = folder / "key", folder / "certificate"
    names: list[str | pathlib.Path] = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        key,
    ]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        [openssl, "req", "-x509", "-nodes", "-days", "2", *curve, *names, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class TLSTransport:
    """A transport that encrypts with TLS."""

    scheme = "https"
    has_sendfile = False

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        self._plain = PlainTransport(connected)
        self.descriptor = self._plain.descriptor
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # Encrypted octets that are not sent yet, and the number of octets that they were encrypted from.
        self._encrypted = b""
        self._taken = 0
        self._has_ended = False
        self.unsent = self._unsent
        self.has_input = self._plain.has_input
        self.reset = self._plain.reset
        self.abort = self._plain.abort
        self.close = self._plain.close

    def _flush(self) -> None:
        while encrypted := self._encrypted + self._outgoing.read():
            self._encrypted = encrypted
            try:
                self._encrypted = encrypted[self._plain.send(encrypted) :]
            except BlockingIOError:
                raise WouldBlock(WRITABLE) from None

    def _fill(self) -> None:
        """Send pending octets first, since the peer may need them. Then receive some encrypted octets."""
        self._flush()
        if octets := self._plain.recv(_RECORD_OCTETS):
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()

    def handshake(self) -> bool:
        """Complete the handshake. Return True, since the first request may already have arrived."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._fill()
            else:
                self._flush()
                return True

    def recv(self, maximum: int, /) -> bytes:
        """Return all decrypted octets."""
        octets = b""
        while True:
            try:
                octets += self._tls.read(maximum)
            except ssl.SSLWantReadError:
                if octets:
                    return octets
                self._fill()
            except ssl.SSLZeroReturnError:
                return octets

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Encrypt at most one record and send it."""
        if not self._taken:
            self._taken = self._tls.write(octets[:_RECORD_OCTETS])
        self._flush()
        sent = min(self._taken, len(octets))
        self._taken -= sent
        return sent

    def send_both(self, first: bytes, second: bytes) -> int:
        """Encrypt and send some octets of *first* and *second*. Return the number of octets sent."""
        return self.send(first + second)

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Raise AssertionError. Since ``has_sendfile`` is false, the server must not call this method."""
        raise AssertionError

    def _unsent(self) -> int:
        return len(self._encrypted) + unsent_octets(self.descriptor)

    def end(self) -> None:
        """Send close_notify, then FIN."""
        if not self._has_ended:
            self._has_ended = True
            # unwrap() would also wait for the peer's close_notify.
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
        self._flush()
        self._plain.end()
