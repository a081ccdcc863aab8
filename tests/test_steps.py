"""What is said of each step: lines that look like those of curl, and that give nothing away."""

from httpsock.steps import Step, Way, format_step


def test_a_call_is_one_line_with_its_time() -> None:
    step = Step(2.0015, "connect", "127.0.0.1:8000 from 127.0.0.1:52114")
    assert format_step(step, 2.0) == "*      1.50 ms  connect  127.0.0.1:8000 from 127.0.0.1:52114\n"
    assert format_step(Step(2.0, "close", ""), 2.0) == "*      0.00 ms  close\n"


def test_a_head_follows_its_call() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert format_step(Step(0.0, "send", "27", head), 0.0).splitlines()[1:] == ["> GET / HTTP/1.1", "> Host: a", ">"]
    assert format_step(Step(0.0, "recv", "27", b"HTTP/1.1 200 OK\r\n\r\n", Way.IN), 0.0).splitlines()[1:] == [
        "< HTTP/1.1 200 OK",
        "<",
    ]


def test_controls_and_octets_beyond_ascii_are_shown_as_such() -> None:
    head = b"HTTP/1.1 200 \xff\x9b\r\nX: \xc3\xa4\xc2\x9b2J\ty\r\n\r\n"
    lines = format_step(Step(0.0, "recv", "", head, Way.IN), 0.0).splitlines()
    assert lines[1:3] == ["< HTTP/1.1 200 \\xff\\x9b", "< X: ä\\x9b2J\\x09y"]


def test_credentials_and_cookies_are_not_shown() -> None:
    head = (
        b"GET / HTTP/1.1\r\nauthorization: Basic c2VjcmV0\r\nAccept: */*\r\n folded\r\nSet-Cookie: a=secret;\r\n"
        b" more=secret\r\nProxy-Authorization: secret\r\nCookie: secret\r\n\r\n"
    )
    lines = format_step(Step(0.0, "send", "", head), 0.0).splitlines()[1:]
    assert lines == [
        "> GET / HTTP/1.1",
        "> authorization: (not shown)",
        "> Accept: */*",
        ">  folded",
        "> Set-Cookie: (not shown)",
        ">   (not shown)",
        "> Proxy-Authorization: (not shown)",
        "> Cookie: (not shown)",
        ">",
    ]
