"""The conformance corpus: octets that a client may send, before httpsock and before h11.

corpus/             one file of exact octets for each case
corpus.toml         what each reader must make of it, and why the two differ where they do
cases               the table and the files as values
judges              the readers, whose verdicts have one form
test_corpus         both judges on each case, whole and cut
"""
