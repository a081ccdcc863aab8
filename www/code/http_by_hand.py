"""An HTTP/1.1 request written by hand, over an ordinary TCP socket."""
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
request = (
    b"GET /hello.txt HTTP/1.1\r\n"     # request line
    b"Host: 127.0.0.1:%d\r\n"          # field line, required
    b"Connection: close\r\n"           # field line: hang up afterwards
    b"\r\n"                            # empty line: the fields end here
) % port

with socket.create_connection(("127.0.0.1", port)) as client:
    client.sendall(request)
    response = b""
    while data := client.recv(4096):   # b"" means the server has closed
        response += data

print(response.decode())
