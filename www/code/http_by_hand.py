"""An HTTP/1.1 request written by hand, over an ordinary TCP socket."""
import socket

request = (
    b"GET /hello.txt HTTP/1.1\r\n"     # request line
    b"Host: 127.0.0.1:8000\r\n"        # field line, required
    b"Connection: close\r\n"           # field line: hang up afterwards
    b"\r\n"                            # empty line: the fields end here
)

with socket.create_connection(("127.0.0.1", 8000)) as client:
    client.sendall(request)
    response = b""
    while data := client.recv(4096):   # b"" means the server has closed
        response += data

print(response.decode())
