"""Processes: run servers in one process or several, and obey signals.

Takes servers, gives an exit code. The main thread handles signals. With --processes, each child process runs one
server. At a restart, a new process takes over. The subpackage ``server`` does not import these modules.

    process_loop  signals, child processes and the parent, handled one at a time
    threaded      the server's threads, as process_loop sees them
    supervisor    several processes, each replaced when it exits
    children      child processes, and the parent as a child sees it
    restart       a new process takes over the listening sockets
    activation    the listening sockets that a process was started with
"""
