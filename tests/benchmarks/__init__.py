"""Measure httpsock beside other servers, which take turns within one run. No test depends on the measured times."""
