"""The server: sockets, threads and processes.

The connection is the only place where octets meet sockets; what a request means is not decided here.

    server            the listening sockets, the threads, and a clean stop
    settings          what all connections share, and how long a client may take
    event_loop        a poller, its connections and their deadlines
    leader            threads that run the event loop, one at a time
    fairness          a share of each tick for each network
    connection        one client's requests, from the first octet to the tear-down
    send_rate         how slowly a peer may read
    connection_limit  how many connections there may be, and which to evict
    poller            which sockets are ready
    addresses         which addresses are one client, and at which this machine is reached
    access_log        one response as one line
    process           what the system lets a process have
    process_loop      signals, child processes and the parent, handled one at a time
    threaded          the server's threads, as that loop sees them
    supervisor        several processes, each replaced when it exits
    restart           a new process takes over the listening sockets
    activation        the listening sockets that a process was started with
    children          child processes, and the parent as a child sees it
"""
