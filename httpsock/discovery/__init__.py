"""Discovery: announce and find a folder on the local network, over UDP.

Device descriptions travel over HTTP, by the client and the server of this package. In reading order:

    ssdp              SSDP messages: HTTP in datagrams, as values
    multicast         send to a group and join it, on each interface
    networks          list this machine's interfaces, and watch for changes
    answers           delayed answers, with a rate limit for each neighbour
    description       format and parse device descriptions
    description_server  serve this machine's descriptions over HTTP
    search            sendto(), recvfrom(): find devices
    announcer         recvfrom(), sendto(): announce a folder, answer searches
"""
