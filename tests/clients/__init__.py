"""Real clients against the real server. Each client does the job that people use it for.

    client           job                                                           where
    curl             ranges, resumption, conditions, uploads refused, --compressed test_curl_and_requests.py
    requests         sessions, redirects, streams                                  test_curl_and_requests.py
    Chromium         the site, players, listings                                   test_browser.py
    h11              every framing, as the oracle                                  conformance/
    wget             a file, -c, -N                                                test_downloads.py
    wget -r          a folder, without the pages that only sort it                 test_wget_recursive.py
    aria2c, axel     a file in several parts at a time                             test_downloads.py
    lftp             mirror a folder by its listing, continue a file               test_downloads.py
    zsync, zckdl     only the parts that changed: many ranges in one request       test_downloads.py
    rclone           copy a folder by its listing, names with colons               test_downloads.py
    ab               keep-alive in HTTP/1.0                                        test_downloads.py
    ffprobe, mpv     seek in a film; a playlist of ./names                         test_media.py
    apt              a flat repository, whose URL ends with ./                     test_packages.py
    pip              a folder of wheels                                            test_packages.py
    npm              a scoped package of a static registry, @scope%2fname          test_packages.py
    git              clone over the dumb protocol                                  test_packages.py
    ostree           pull from an archive repository                               test_packages.py
    uv               an index that consists of listings; metadata by ranges        test_more_packages.py
    cargo            a sparse registry                                             test_more_packages.py

If a client is not installed, its tests are skipped. CI installs all clients except cargo, which comes with a compiler
of 500 MB. Some clients were only tried by hand: dnf, go, hey, Firefox, and Safari's engine.
"""
