"""The servers to compare: how to start each server, what it requires, and how to install it."""

import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import NamedTuple

from . import configurations
from .environment import Environment

_HERE = pathlib.Path(__file__).resolve().parent
CLONE = _HERE.parent.parent


class Site(NamedTuple):
    """The settings for one server. *folder* is for the server's own files. *log* is its access log, or None."""

    root: pathlib.Path
    port: int
    folder: pathlib.Path
    log: pathlib.Path | None
    environment: Environment


class Peer(NamedTuple):
    """A server to compare.

    It requires *program* on the PATH, or *packages* from PyPI or npm. If *streams* is true, the server
    writes to standard error. If *announces* is true, its first line of output says that it is ready. If
    *uses_defaults* is true, the server starts without options for speed, and plays only workloads for such servers.
    """

    name: str
    command: Callable[[Site], list[str]]
    program: str = ""
    install: str = ""
    packages: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    logs: bool = True
    streams: bool = False
    announces: bool = False
    folder: pathlib.Path = CLONE
    uses_defaults: bool = False

    def missing(self, environment: Environment) -> str:
        """Return the missing requirement and how to install it. If the server can run, return ""."""
        if self.program and not shutil.which(self.program):
            return f"{self.program} is not installed: {self.install}"
        for package in self.packages:
            if package not in environment.versions:
                return f"{package} is not in {environment.folder}: {environment.why(package)}"
        return ""


def httpsock(*options: str, name: str = "httpsock", folder: pathlib.Path = CLONE) -> Peer:
    """Return a peer that runs httpsock with *options*. *folder* is the clone with its code."""

    def command(site: Site) -> list[str]:
        quiet = [] if site.log else ["--quiet"]
        where = [str(site.root), "--port", str(site.port), "--bind", "127.0.0.1"]
        return [sys.executable, "-m", "httpsock", *where, *quiet, *options]

    return Peer(name, command, streams=True, announces=True, folder=folder)


def _floor(site: Site) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.floor", str(site.port), str(site.root / "1k.bin")]


def _http_server(site: Site) -> list[str]:
    where = [str(site.port), "--bind", "127.0.0.1", "--directory", str(site.root)]
    # Without HTTP/1.1 it closes the connection after each response.
    return [sys.executable, "-m", "http.server", *where, "--protocol", "HTTP/1.1"]


def _configured(site: Site, text: str, log: str) -> str:
    """Fill in the template *text* and write it to a configuration file. Return the path of the file."""
    file = site.folder / "configuration"
    log = log.format(log=site.log) if site.log else ""
    file.write_text(text.format(root=site.root, port=site.port, folder=site.folder, log=log))
    return str(file)


def _nginx_tuned(site: Site) -> list[str]:
    log = configurations.NGINX_TUNED_LOG if site.log else ""
    text = configurations.NGINX_TUNED if site.log else configurations.NGINX_TUNED.replace("{log}", "access_log off;")
    return ["nginx", "-p", str(site.folder), "-c", _configured(site, text, log)]


def _nginx_stock(site: Site) -> list[str]:
    return ["nginx", "-p", str(site.folder), "-c", _configured(site, configurations.NGINX_STOCK, "")]


def _darkhttpd(site: Site) -> list[str]:
    log = ["--log", str(site.log)] if site.log else []
    return ["darkhttpd", str(site.root), "--addr", "127.0.0.1", "--port", str(site.port), *log]


def _lighttpd(site: Site) -> list[str]:
    return ["lighttpd", "-D", "-f", _configured(site, configurations.LIGHTTPD, configurations.LIGHTTPD_LOG)]


def _caddy(site: Site) -> list[str]:
    configuration = _configured(site, configurations.CADDY, configurations.CADDY_LOG)
    # It stores its configuration and its state in these folders.
    own = ["env", f"XDG_CONFIG_HOME={site.folder}", f"XDG_DATA_HOME={site.folder}"]
    return [*own, "caddy", "run", "--adapter", "caddyfile", "--config", configuration]


def _application(name: str) -> Callable[[Site], list[str]]:
    """Return a function that returns a command. The command starts the server called *name* in applications.py."""

    def command(site: Site) -> list[str]:
        log = [str(site.log)] if site.log else []
        script = str(_HERE / "applications.py")
        return [site.environment.python, script, name, str(site.port), str(site.root), *log]

    return command


def _gunicorn(site: Site) -> list[str]:
    how = ["-k", "gthread", "--workers", "1", "--threads", "4", "--keep-alive", "75", "--no-control-socket"]
    how += ["--worker-connections", "8192", "--worker-tmp-dir", str(site.folder), "--log-level", "error"]
    log = ["--access-logfile", str(site.log)] if site.log else []
    where = ["--bind", f"127.0.0.1:{site.port}", "--chdir", str(_HERE), f"applications:whitenoise({str(site.root)!r})"]
    return [site.environment.python, "-m", "gunicorn", *how, *log, *where]


def _granian(site: Site) -> list[str]:
    static = ["--static-path-route", "", "--static-path-mount", str(site.root), "--static-path-expires", "0"]
    log = ["--access-log"] if site.log else ["--no-log"]
    application = ["--interface", "wsgi", "--working-dir", str(_HERE), "granian_nothing:application"]
    where = ["--host", "127.0.0.1", "--port", str(site.port)]
    return [site.environment.python, "-m", "granian", *where, *static, *log, *application]


def _servery(site: Site) -> list[str]:
    log = ["--access-log", str(site.log)] if site.log else []
    where = [str(site.root), "-b", "127.0.0.1", "-p", str(site.port), "--max-connections", "8192"]
    return [site.environment.python, "-m", "servery", *where, "-q", *log]


def _httpsock_with_defaults(site: Site) -> list[str]:
    return [sys.executable, "-m", "httpsock", str(site.root), "--port", str(site.port)]


def _http_server_with_defaults(site: Site) -> list[str]:
    return [sys.executable, "-m", "http.server", str(site.port), "--directory", str(site.root)]


def _serve_with_defaults(site: Site) -> list[str]:
    return [_from_npm(site, "serve"), "--listen", f"tcp://127.0.0.1:{site.port}", str(site.root)]


def _npx_http_server_with_defaults(site: Site) -> list[str]:
    return [_from_npm(site, "http-server"), str(site.root), "-p", str(site.port)]


def _from_npm(site: Site, name: str) -> str:
    """Return the path of a program that was installed from npm."""
    return str(site.environment.folder / "node_modules" / ".bin" / name)


def _caddy_with_defaults(site: Site) -> list[str]:
    own = ["env", f"XDG_CONFIG_HOME={site.folder}", f"XDG_DATA_HOME={site.folder}"]
    return [*own, "caddy", "file-server", "--root", str(site.root), "--listen", f"127.0.0.1:{site.port}"]


def _uvicorn_with_defaults(site: Site) -> list[str]:
    return [site.environment.python, str(_HERE / "applications.py"), "uvicorn", str(site.port), str(site.root), "-"]


NGINX = Peer("nginx, tuned", _nginx_tuned, "nginx", "apt-get install nginx", version=("nginx", "-v"))
HTTPSOCK = httpsock()
HTTP_SERVER = Peer("http.server", _http_server, streams=True)
FLOOR = Peer("floor", _floor, logs=False)

# The others are compared with the first that is installed.
PEERS = (
    NGINX,
    HTTPSOCK,
    Peer("nginx, stock", _nginx_stock, "nginx", "apt-get install nginx", version=("nginx", "-v")),
    Peer("darkhttpd", _darkhttpd, "darkhttpd", "apt-get install darkhttpd", version=("darkhttpd", "--version")),
    Peer("lighttpd", _lighttpd, "lighttpd", "apt-get install lighttpd", version=("lighttpd", "-v")),
    Peer("Caddy", _caddy, "caddy", "apt-get install caddy", version=("caddy", "version")),
    HTTP_SERVER,
    Peer("cheroot", _application("cheroot"), packages=("cheroot", "whitenoise"), logs=False),
    Peer("waitress", _application("waitress"), packages=("waitress", "whitenoise"), logs=False),
    Peer("gunicorn", _gunicorn, packages=("gunicorn", "whitenoise")),
    Peer("uvicorn", _application("uvicorn"), packages=("uvicorn", "starlette", "httptools", "uvloop"), streams=True),
    Peer("aiohttp", _application("aiohttp"), packages=("aiohttp",)),
    Peer("granian", _granian, packages=("granian",), streams=True),
    Peer("servery", _servery, packages=("servery",)),
    FLOOR,
)
# The same for those, in the row in which they take part.
WITH_DEFAULTS = tuple(
    peer._replace(uses_defaults=True, streams=True)
    for peer in (
        Peer("httpsock, default options", _httpsock_with_defaults),
        Peer("python -m http.server", _http_server_with_defaults),
        Peer("npx serve", _serve_with_defaults, packages=("npm:serve",)),
        Peer("npx http-server", _npx_http_server_with_defaults, packages=("npm:http-server",)),
        Peer("caddy file-server", _caddy_with_defaults, "caddy", "apt-get install caddy", version=("caddy", "version")),
        Peer("uvicorn + starlette", _uvicorn_with_defaults, packages=("uvicorn", "starlette")),
    )
)
QUICK = ("nginx, tuned", "httpsock", "http.server", "floor")
