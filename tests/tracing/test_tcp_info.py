"""TCP_INFO: the kernel's statistics of a connection, on systems that have them."""

import socket
import sys

import pytest

from httpsock.tracing.tcp_info import format_tcp_info, tcp_info


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has TCP_INFO")
def test_sent_and_acknowledged_bytes_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        connected, _ = listener.accept()
        with connected:
            connected.sendall(b"x" * 1000)
            # The peer's answer acknowledges the octets.
            assert client.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
            client.sendall(b"y")
            assert connected.recv(1) == b"y"
            info = tcp_info(connected)
    assert info
    assert info["octets_acknowledged"] == 1000
    assert info["retransmits"] == 0
    assert info["congestion_window_segments"] > 0
    assert 0 < info["segment_octets"] <= 65535
    assert 0 < info["least_round_trip_us"] <= info["round_trip_us"] + info["round_trip_variation_us"] * 8
    assert info["peer_window_octets"] > 0


def test_a_socket_of_another_kind_has_no_tcp_info() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp_info(one) is None


def test_another_system_has_no_tcp_info(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with socket.socket() as unconnected:
        assert tcp_info(unconnected) is None


def test_tcp_info_is_shown_in_two_lines() -> None:
    info = {
        "segment_octets": 1448,
        "round_trip_us": 20_123,
        "round_trip_variation_us": 81,
        "congestion_window_segments": 32,
        "retransmits": 3,
        "octets_acknowledged": 1_048_900,
        "least_round_trip_us": 19_870,
        "limited_by_window_us": 1500,
        "peer_window_octets": 65536,
    }
    assert format_tcp_info(info) == (
        "round trip 20,123 ± 81 µs, least 19,870; retransmits 3; acknowledged 1,048,900",
        "congestion window 32 × 1,448; peer's window 65,536, waited for 1,500 µs",
    )
