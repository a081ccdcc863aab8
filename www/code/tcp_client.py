"""TCP client: sends one line, prints what comes back."""
import socket

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)     # 1 create
client.connect(("127.0.0.1", 9000))                            # 2 connect
client.sendall(b"hello, socket\n")                             # 3 send
client.shutdown(socket.SHUT_WR)      # no more to say; still listening

while data := client.recv(4096):                               # 4 receive
    print(data.decode(), end="")

client.close()                                                 # 5 close
