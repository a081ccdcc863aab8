"""The client: the other end of a connection.

Knows no thread: a caller that wants several at a time brings its own.

    url               where an http URL leads
    connection        the connection as its client sees it: socket(), connect(), send(), recv(), close()
    client            a URL in, a response out
    download          content that becomes a file when it is whole
"""
