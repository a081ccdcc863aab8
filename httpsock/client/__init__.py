"""The client: send requests to a server, and receive the responses.

Must not know threads. A caller that wants parallel requests uses its own threads. In reading order:

    url               parse an http URL, resolve a redirect
    connection        socket(), connect(), send(), recv(), close()
    client            a URL in, a response out
    download          save content to a file, and resume it
"""
