"""UDP receiver: answers each datagram in capitals, until Ctrl-C."""
import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)    # 1 create
receiver.bind(("127.0.0.1", 9001))                             # 2 bind

while True:
    data, peer = receiver.recvfrom(2048)                       # 3 recvfrom
    print("recvfrom", len(data), "bytes from port", peer[1])
    sent = receiver.sendto(data.upper(), peer)                 # 4 sendto
    print("sendto", sent, "bytes to port", peer[1])
