"""The client: the other end of a connection.

Must not know threads: a caller that wants parallel requests uses threads of its own. In reading order:

    url               parse an http URL, resolve a redirect
    connection        socket(), connect(), send(), recv(), close()
    client            a URL in, a response out
    download          save content to a file, and resume it
"""
