"""UDP receiver: answers each datagram in capitals, until Ctrl-C."""
import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 9001))

while True:
    data, sender = receiver.recvfrom(2048)   # one call, one datagram
    print(len(data), "bytes from", sender)
    receiver.sendto(data.upper(), sender)
