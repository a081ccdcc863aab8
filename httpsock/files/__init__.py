"""Files: serve a folder over HTTP.

Takes the path of a request-target, gives a representation. Knows no socket. In reading order:

    paths             the name of the file or folder that a path means
    confinement       open files beneath a folder, and no others
    file_system       the system calls of a document root
    aliases           whether a name is a second name of a hidden file
    document_root     which resource a path names
    representation    a file as it is sent, with its validators
    siblings          compressed siblings, verified
    cache             small files in memory
    lookups           a cache: the file for each path, valid while nothing has changed
    listing           a folder's names, sorted and filtered
    listing_page      the listing as a page
    listing_budget    how many names all listings may hold
    handler           the response to a request for a file
"""
