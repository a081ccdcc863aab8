"""Handlers and middlewares that a program or an option puts in front of the folder, or in its place.

Each file is loaded only when it is needed. These files know requests and responses, but no socket and no file of the
folder. In reading order:

    checked           check the results of a program's handler
    in_thread         call a function that blocks, in a thread
    single_page       --spa: one page for all paths without a file
    authentication    --auth: admit one user only
    credentials       check the user's name and password
"""
