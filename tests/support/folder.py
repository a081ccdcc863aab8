"""The content of the files in the folder that tests serve."""

# A time so long ago that a file of it may be cached, and its date is a strong validator.
LONG_AGO = 1_700_000_000
HELLO = b"Hello, socket.\n"
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
LARGE = bytes(range(256)) * 1024
# More than the sockets of a connection can hold: a download is unfinished until its client has read it.
FILM_OCTETS = 64 * 1024 * 1024
