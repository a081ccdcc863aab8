"""TCP server: sends every byte back in capitals."""
import socket

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)   # 1 create
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 9000))                             # 2 bind
listener.listen()                                              # 3 listen

connection, peer = listener.accept()                           # 4 accept
print("connection from", peer)
while data := connection.recv(4096):                           # 5 communicate
    connection.sendall(data.upper())

connection.close()                                             # 6 close
listener.close()
