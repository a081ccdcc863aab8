"""Malformed lengths, transfer codings, chunks and trailers, with the expected status, reason and RFC section."""

from tests.http.malformed import FOLDED, Row, chunked, framed

CONTENT_LENGTHS = [
    Row(f"R048: {name}", framed(b"Content-Length: " + value), 400, "not one decimal number", "RFC 9112 §6.3")
    for name, value in [
        ("an empty length", b""),
        ("a sign", b"+5"),
        ("a negative length", b"-5"),
        ("minus zero", b"-0"),
        ("hexadecimal", b"0x5"),
        ("octal as Python writes it", b"0o5"),
        ("digits grouped as Python does", b"1_0"),
        ("digits grouped by spaces", b"1 0"),
        ("a fraction", b"5.0"),
        ("an exponent", b"5e0"),
        ("a word", b"five"),
        ("a unit", b"5 octets"),
        ("a parameter", b"5;q=1"),
        ("quotes", b'"5"'),
        ("a no-break space before it", b"\xa05"),
        ("a next-line character after it", b"5\x85"),
        ("digits of another script", "٥".encode()),
        ("a superscript digit", b"\xb2"),
    ]
] + [
    Row("R048: a VT before it", framed(b"Content-Length: \v5"), 400, "the control character \\x0b", "RFC 9110 §5.5"),
    Row("R049: a list of different lengths", framed(b"Content-Length: 5, 6"), 400, "not one decimal", "RFC 9112 §6.3"),
    Row("R050: a list of equal lengths", framed(b"Content-Length: 5, 5"), 400, "not one decimal", "RFC 9112 §6.3"),
    Row("R049: a list with an empty member", framed(b"Content-Length: ,5"), 400, "not one decimal", "RFC 9112 §6.3"),
    Row(
        "R049: different lengths in two lines",
        framed(b"Content-Length: 5\r\nContent-Length: 6"),
        400,
        "more than one Content-Length",
        "RFC 9112 §6.3",
    ),
    Row(
        "R050: equal lengths in two lines",
        framed(b"Content-Length: 5\r\nContent-Length: 5"),
        400,
        "more than one Content-Length",
        "RFC 9112 §6.3",
    ),
    Row("R051: nineteen digits", framed(b"Content-Length: " + b"9" * 19), 413, "has 19 digits", "RFC 9110 §8.6"),
    Row(
        "R051: 2 to the 64th and 5", framed(b"Content-Length: 18446744073709551621"), 413, "20 digits", "RFC 9110 §8.6"
    ),
    Row(
        "R051: more digits than int() takes",
        framed(b"Content-Length: " + b"9" * 4301),
        413,
        "4301 digits",
        "RFC 9110 §8.6",
    ),
]

NOT_LAST = 'the last coding is not exactly "chunked"'
TRANSFER_ENCODINGS = [
    Row(f"R062: {name}", framed(b"Transfer-Encoding: " + value), 400, NOT_LAST, "RFC 9112 §6.3")
    for name, value in [
        ("an empty value", b""),
        ("empty list members alone", b", ,"),
        ("a letter before it", b"xchunked"),
        ("a letter behind it", b"chunkedx"),
        ("quotes", b'"chunked"'),
        ("a quote before it", b'"chunked'),
        ("a quote behind it", b'chunked"'),
        ("a quote before it in a list", b'gzip, "chunked'),
        ("single quotes", b"'chunked'"),
        ("a space within", b"chun ked"),
        ("a next-line character behind it", b"chunked\x85"),
        ("a no-break space before it", b"\xa0chunked"),
        ("its value twice without a comma", b"chunked chunked"),
        ("a Kelvin sign for the k", "chun\u212aed".encode()),
    ]
] + [
    Row("R062: a VT before it", framed(b"Transfer-Encoding: \vchunked"), 400, "\\x0b in its value", "RFC 9110 §5.5"),
    Row("R062: an FF behind it", framed(b"Transfer-Encoding: chunked\f"), 400, "\\x0c in its value", "RFC 9110 §5.5"),
    Row("R062: a NUL behind it", framed(b"Transfer-Encoding: chunked\0"), 400, "has a NUL in its", "RFC 9110 §5.5"),
    Row("R062: LF behind it", framed(b"Transfer-Encoding: chunked\nX: y"), 400, "with a bare LF", "RFC 9112 §2.2"),
    Row("R063: a parameter", framed(b"Transfer-Encoding: chunked;q=1"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R057: chunked not last", framed(b"Transfer-Encoding: chunked, gzip"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R057: gzip alone", framed(b"Transfer-Encoding: gzip"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R057: identity", framed(b"Transfer-Encoding: identity"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R058: gzip, chunked", framed(b"Transfer-Encoding: gzip, chunked"), 501, "not implemented", "RFC 9112 §6.1"),
    Row("R058: identity, chunked", framed(b"Transfer-Encoding: identity, chunked"), 501, "not implemented", "§6.1"),
    Row(
        "R058: gzip and chunked in two lines",
        framed(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
        501,
        "not implemented",
        "RFC 9112 §6.1",
    ),
    Row("R061: chunked twice in a list", framed(b"Transfer-Encoding: chunked, chunked"), 400, "chunked twice", "§6.1"),
    Row(
        "R061: chunked twice in two lines",
        framed(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        400,
        "chunked twice",
        "RFC 9112 §6.1",
    ),
    Row(
        "R059: a length before it",
        framed(b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
        400,
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1",
    ),
    Row(
        "R059: a length behind it",
        framed(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
        400,
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1",
    ),
    Row(
        "R059: a length beside a coding that is none",
        framed(b"Transfer-Encoding: xchunked\r\nContent-Length: 5"),
        400,
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1",
    ),
    Row(
        "R060: chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "Transfer-Encoding in an HTTP/1.0 request",
        "RFC 9112 §6.1",
    ),
    Row(
        "R060: chunked and a length in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        400,
        "Transfer-Encoding in an HTTP/1.0 request",
        "RFC 9112 §6.1",
    ),
]

NOT_A_CHUNK = "is not a hexadecimal size, extensions and CRLF"
CHUNKS = (
    [
        Row(f"R066: {name}", chunked(octets), 400, NOT_A_CHUNK, "RFC 9112 §7.1")
        for name, octets in [
            ("no size", b"\r\nhello\r\n"),
            ("a letter beyond f", b"g\r\n"),
            ("a space before the size", b" 5\r\nhello\r\n"),
            ("a space after the size", b"5 \r\nhello\r\n"),
            ("a tab after the size", b"5\t\r\nhello\r\n"),
            ("a sign", b"+5\r\nhello\r\n"),
            ("a negative size", b"-5\r\nhello\r\n"),
            ("minus zero", b"-0\r\n\r\n"),
            ("a prefix", b"0x5\r\nhello\r\n"),
            ("digits grouped as Python does", b"1_0\r\n"),
            ("a fraction", b"5.0\r\nhello\r\n"),
            ("digits of another script", "٥\r\nhello\r\n".encode()),
            ("a NUL after the size", b"5\0\r\nhello\r\n"),
            ("a bare CR after the size", b"5\rX\r\nhello\r\n"),
            ("a second CR after the size", b"5\r\r\nhello\r\n"),
            ("LF alone after the size", b"5\nhello\r\n"),
            ("LF alone after the last size", b"0\n\r\n"),
            ("a comma", b"5,a\r\nhello\r\n"),
        ]
    ]
    + [
        Row(f"R070: {name}", chunked(octets), 400, NOT_A_CHUNK, "RFC 9112 §7.1")
        for name, octets in [
            ("an extension without a name", b"5;\r\nhello\r\n"),
            ("a value without a name", b"5;=a\r\nhello\r\n"),
            ("a name without its value", b"5;a=\r\nhello\r\n"),
            ("a semicolon too many", b"5;a;;b\r\nhello\r\n"),
            ("two words", b"5;a b\r\nhello\r\n"),
            ("no semicolon", b"5 a\r\nhello\r\n"),
            ("an open quote", b'5;a="b\r\nhello\r\n'),
            ("letters behind a quote", b'5;a="b"c\r\nhello\r\n'),
            ("a control within quotes", b'5;a="\x01"\r\nhello\r\n'),
            ("a CR within quotes", b'5;a="\r"\r\nhello\r\n'),
            ("a NUL in a name", b"5;a\0\r\nhello\r\n"),
            ("a bare CR in a value", b"5;a=b\rc\r\nhello\r\n"),
            ("LF within an extension", b"5;a\nb\r\nhello\r\n"),
            ("a faulty extension of the last chunk", b"0;\r\n\r\n"),
        ]
    ]
    + [
        Row(f"R068: {name}", chunked(octets), 400, "chunk data is followed by", "RFC 9112 §7.1")
        for name, octets in [
            ("two other octets for CRLF", b"5\r\nhelloXX0\r\n\r\n"),
            ("LF alone after the data", b"5\r\nhello\n0\r\n\r\n"),
            ("a CR and another octet after the data", b"5\r\nhello\rX0\r\n\r\n"),
            ("two CR after the data", b"5\r\nhello\r\r\n0\r\n\r\n"),
            ("nothing after the data", b"5\r\nhello0\r\n\r\n"),
            ("more data than the size", b"5\r\nhello, world\r\n0\r\n\r\n"),
            ("less data than the size", b"5\r\nhell\r\n0\r\n\r\n"),
            ("a fault in the second chunk", b"1\r\na\r\n1\r\nbb\r\n0\r\n\r\n"),
        ]
    ]
    + [
        Row("R067: seventeen digits", chunked(b"f" * 17 + b"\r\n"), 413, "limit of 1048576", "RFC 9110 §15.5.14"),
        Row("R067: 2 to the 64th", chunked(b"10000000000000000\r\n"), 413, "longer than the", "RFC 9110 §15.5.14"),
        Row("R067: one octet above the limit", chunked(b"100001\r\n"), 413, "longer than the", "RFC 9110 §15.5.14"),
        Row("R067: the sum of two chunks", chunked(b"1\r\na\r\n100000\r\n"), 413, "longer than", "RFC 9110 §15.5.14"),
        Row("R071: a long extension", chunked(b"5;" + b"a" * 4100), 400, "chunk line is longer", "RFC 9112 §7.1.1"),
        Row("R071: a size of zeros", chunked(b"0" * 4100), 400, "the chunk line is longer", "RFC 9112 §7.1.1"),
        Row(
            "R071: the sum of extensions",
            chunked((b"1;" + b"a" * 4000 + b"\r\nx\r\n") * 5),
            400,
            "chunk extensions take more than 16384 bytes",
            "RFC 9112 §7.1.1",
        ),
    ]
)

TRAILERS = [
    Row(f"R074: {name}", chunked(b"0\r\n" + octets), 400, f"trailer field line {reason}", section)
    for name, octets, reason, section in [
        ("a request in place of trailers", b"GET /x HTTP/1.1\r\n\r\n", '1 "GET /x HTTP/1.1" has no', "RFC 9112 §5"),
        ("a trailer without a colon", b"X: y\r\ncolonless\r\n\r\n", '2 "colonless" has no', "RFC 9112 §5"),
        ("a space before the colon", b"X : y\r\n\r\n", "1 has a space before its colon", "RFC 9112 §5.1"),
        ("a trailer without a name", b": y\r\n\r\n", '1 has the name "", which is not', "RFC 9110 §5.1"),
        ("a name that is no token", b"X(: y\r\n\r\n", '1 has the name "X(", which is not', "RFC 9110 §5.1"),
        ("a folded trailer", b"X: y\r\n z\r\n\r\n", f"2 {FOLDED}", "RFC 9112 §5.2"),
        ("a NUL in a trailer", b"X: \0\r\n\r\n", "1 has a NUL in its value", "RFC 9110 §5.5"),
        ("a DEL in a trailer", b"X: \x7f\r\n\r\n", "1 has the control character \\x7f", "RFC 9110 §5.5"),
        ("a bare CR in a trailer", b"X: a\rb\r\n\r\n", "1 has a bare CR in its value", "RFC 9112 §2.2"),
        ("a trailer that ends with LF", b"X: y\n\r\n", "1 ends with a bare LF", "RFC 9112 §2.2"),
        ("trailers that end with LF", b"X: y\r\n\n", "2 ends with a bare LF", "RFC 9112 §2.2"),
    ]
] + [
    Row(
        "R074: one endless trailer", chunked(b"0\r\nX: " + b"y" * 33000), 431, "the trailer section", "RFC 9112 §7.1.2"
    ),
    Row("R074: many trailers", chunked(b"0\r\n" + b"X: y\r\n" * 6000), 431, "the trailer section", "RFC 9112 §7.1.2"),
]
