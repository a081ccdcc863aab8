"""Discovery: a folder announced and found on the local network, by UDP.

Uses the client and the server for the description of a device, which travels by HTTP.

    ssdp              HTTP in datagrams, as values
    multicast         datagrams to a group, network by network
    networks          the networks of this machine, as they come and go
    answers           answers that are due, a share for each neighbour
    description       the description of a device, as a value
    description_server  the description of this one, by HTTP
    announcer         recvfrom(), sendto(): says that a folder is served
"""
