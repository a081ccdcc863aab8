"""The command line: takes arguments, prints text for a person, gives an exit code.

It uses all other subpackages. No other subpackage may import it.

    commands          imports and runs one command
    serve             the server's command
    options           the options of serve
    password          the password of --auth
    get               the client's command
    find              the command that searches the local network
    arguments         argument parsers that the commands share
    terminal          safe text, and a progress bar, for a terminal
    stderr            standard error, written by its own thread
"""
