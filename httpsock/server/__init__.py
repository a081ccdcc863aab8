"""The server: sockets, threads and connections.

Serves a folder, or a program's handler, at one address or several. Only connection.py moves octets between a transport
and a parser. The handler decides how to answer a request. No module here imports processes, discovery, observe or cli.

    server            the threads, the parts of a server, and a clean stop
    arguments         reject wrong arguments of the server
    listeners         the listening sockets: create, bind, listen
    settings          the settings that all connections share, and the time-outs of a client
    event_loop        a poller, its connections and their deadlines
    leader            threads that run the event loop, one at a time
    fairness          a share of each tick for each network
    connection        one client's requests, from the first octet to the tear-down
    state             what a connection waits for, and the phases of a server
    sending           a response as octets, as fast as the peer reads
    transport         how the octets of a connection reach the kernel
    send_rate         how slowly a peer may read
    connection_limit  how many connections in total and per client, and which to evict
    poller            which sockets are ready
    addresses         the network of a client, and the addresses of this machine
    access_log        one response as one line
    process           the limits, standard streams and user of a process
"""
