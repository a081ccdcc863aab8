"""UDP sender: one datagram out, and perhaps one back."""
import socket

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)      # 1 create
sent = sender.sendto(b"hello, datagram", ("127.0.0.1", 9001))  # 2 sendto
print("sendto", sent, "bytes to port 9001")

sender.settimeout(2)                     # an answer is not promised
try:
    data, peer = sender.recvfrom(2048)                         # 3 recvfrom
    print("recvfrom", len(data), "bytes from port", peer[1])
except TimeoutError:
    print("nothing came within 2 seconds")

sender.close()                                                 # 4 close
