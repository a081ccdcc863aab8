"""Handlers: what a program, or an option, puts in front of the folder or in its place.

Each file is one handler or middleware, and is loaded only when it is asked for. Knows requests and responses; no socket
and no file of the folder. In reading order:

    checked           the results of a program's handler, checked
    in_thread         a function that blocks, called in a thread
    single_page       --spa: one page for all paths without a file
    authentication    --auth: only for one user
    credentials       its name and password, checked
"""
