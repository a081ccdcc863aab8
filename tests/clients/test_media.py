"""Media players: they seek with range requests, and open playlists with relative names such as ./film.mp4."""

import pathlib
import shutil

import pytest

import httpsock
from httpsock.server.access_log import Exchange
from tests.support.tools import run, tool

pytestmark = pytest.mark.tools

FILM = pathlib.Path(__file__).parents[2] / "www" / "clock.webm"


def test_ffprobe_reads_the_length_of_a_film(tmp_path: pathlib.Path) -> None:
    shutil.copy(FILM, tmp_path / "clock.webm")
    log = list[Exchange]()
    with httpsock.Server(tmp_path, port=0, log=log.extend) as server:
        command = [tool("ffprobe"), "-v", "error", "-show_entries", "format=duration", server.url + "clock.webm"]
        done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"duration=16." in done.stdout
    assert {int(exchange.status) for exchange in log} <= {200, 206}


def test_mpv_plays_a_list_of_relative_names_from_the_middle(tmp_path: pathlib.Path) -> None:
    (tmp_path / "films").mkdir()
    shutil.copy(FILM, tmp_path / "films" / "clock.webm")
    (tmp_path / "all.m3u").write_text("./films/clock.webm\n./films/../films//clock.webm\n")
    options = "--no-config --vo=null --ao=null --no-ytdl --start=8 --frames=1 --msg-level=all=error".split()
    log = list[Exchange]()
    with httpsock.Server(tmp_path, port=0, log=log.extend) as server:
        done = run([tool("mpv"), *options, server.url + "all.m3u"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = {exchange.request_line.split()[1] for exchange in log if exchange.status in (200, 206)}
    assert {b"/all.m3u", b"/./films/clock.webm"} <= asked
    assert [exchange for exchange in log if exchange.status >= 400] == []
