"""Measure httpsock beside other servers, in turns within one run. No test depends on the measured times."""
