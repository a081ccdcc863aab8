"""The command line: what a person types, and what a person reads.

Uses all other wings; none of them uses it.

    commands          which command is wanted
    serve             the server's command
    options           its options
    get               the client's command
    find              the search on the local network
    arguments         what a person typed, as values
    terminal          what may be written to a terminal
    stderr            standard error, written by a thread of its own
"""
