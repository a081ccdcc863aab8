"""Discovery: announce and find a folder on the local network, over UDP.

A device's description is an HTTP resource. The server of the announced folder serves it, and a search downloads it with
this package's client. In reading order:

    ssdp              SSDP messages: HTTP in datagrams, as values
    multicast         send to a group and join it, on each interface
    networks          list this machine's interfaces, and watch for changes
    answers           delayed answers, with a rate limit for each neighbour
    description       format and parse device descriptions
    description_handler  the middleware that serves the description
    search            sendto(), recvfrom(): find devices
    announcer         recvfrom(), sendto(): announce a folder, answer searches
"""
