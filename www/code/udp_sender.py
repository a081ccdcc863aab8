"""UDP sender: one datagram out, and perhaps one back."""
import socket

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.settimeout(2)                         # an answer is not promised
sender.sendto(b"hello, datagram", ("127.0.0.1", 9001))

try:
    data, source = sender.recvfrom(2048)
    print(data.decode(), "from", source)
except OSError as problem:
    print("no answer:", problem)
finally:
    sender.close()
