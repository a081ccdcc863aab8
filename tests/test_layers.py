"""The shape of the package, read from its source: what may import what, what is explained, how long things are."""

import ast
import pathlib
import re
import sys
from collections.abc import Iterator

import pytest

import httpsock

PACKAGE = pathlib.Path(httpsock.__file__).parent
SOURCES = {file.stem: file.read_text(encoding="utf-8") for file in sorted(PACKAGE.glob("*.py"))}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}
# One row of the table in the package's docstring: a module's name, then what it is for.
TABLE = re.findall(r"^    (\w+) {2,}\S.*$", httpsock.__doc__ or "", re.MULTILINE)

# What turns octets into answers: it can be understood and tested without a network.
CORE = [
    "charsets",
    "confinement",
    "description",
    "explanations",
    "framing",
    "grammar",
    "kept",
    "listing",
    "listing_page",
    "mediatypes",
    "messages",
    "negotiation",
    "origin",
    "parser",
    "paths",
    "pieces",
    "preconditions",
    "ranges",
    "representation",
    "resources",
    "response_parser",
    "siblings",
    "ssdp",
    "target",
    "terminal",
    "urls",
]
NETWORK = {"asyncio", "select", "selectors", "socket", "socketserver", "ssl"}
CONCURRENCY = {"_thread", "concurrent", "multiprocessing", "queue", "threading"}
# The core modules whose values all threads share.
SHARED = {"kept", "claims"}

# Modules that follow no section of an RFC: the package and its command line, what belongs to this server alone,
# and what follows the system's calls.
WITHOUT_SECTION = {
    "checks",
    "__init__",
    "__main__",
    "accesslog",
    "activation",
    "addresses",
    "arguments",
    "children",
    "claims",
    "commands",
    "crew",
    "fairness",
    "inspector",
    "kept",
    "lines",
    "listing",
    "listing_page",
    "options",
    "output",
    "pieces",
    "poller",
    "process",
    "process_loop",
    "restart",
    "room",
    "serve",
    "server",
    "supervisor",
    "terminal",
    "threaded",
    "timeline",
    "trace",
    "worker",
}
SECTION = re.compile(r"RFC \d{4,5} (?:§§?|section )[\dA-Z]")
# HTTP/1.1 as it was defined before RFC 9110 to 9112.
OBSOLETE = re.compile(r"(?:RFC *)?\b(?:2068|2616|723[0-5])\b")

LONGEST_FUNCTION = 45
LONGEST_MODULE = 450

Function = ast.FunctionDef | ast.AsyncFunctionDef

each_module = pytest.mark.parametrize("module", SOURCES)


def imports_of_package(module: str) -> set[str]:
    """Return the modules of the package that *module* imports, anywhere in it."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            # ``from .a import x`` names the module a, ``from . import a`` too; what else the package has is its own.
            named = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name if name in SOURCES else "__init__" for name in named}
    return found


def imports_from_elsewhere(module: str) -> set[str]:
    """Return the first names of all that *module* imports absolutely."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def all_below(module: str) -> set[str]:
    """Return *module* and every module that is loaded for its sake."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= imports_of_package(name) - found
    return found


def public_definitions(module: str) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Give the public classes and functions of *module*, and the public methods of those classes."""
    for node in TREES[module].body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node.name, node
            for member in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(member, Function) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


def test_every_module_has_one_row_in_the_table() -> None:
    assert sorted(TABLE) == sorted(set(SOURCES) - {"__init__"})


@each_module
def test_an_import_only_points_downwards(module: str) -> None:
    # The package itself stands above the table; from it, only what it is called or its version is asked for.
    rows = {name: row for row, name in enumerate(TABLE)} | {"__init__": -1}
    assert module in rows, f"{module} is not in the table"
    imported = imports_of_package(module) - ({"__init__"} if module in ("__main__", "options") else set())
    assert imported <= set(rows), f"not in the table: {sorted(imported - set(rows))}"
    upwards = sorted(name for name in imported if rows[name] <= rows[module])
    assert not upwards, f"{module} imports {upwards}, which the table has above it"


@each_module
def test_nothing_but_the_standard_library_is_imported(module: str) -> None:
    assert imports_from_elsewhere(module) <= sys.stdlib_module_names


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_socket(module: str) -> None:
    for name in all_below(module):
        assert not imports_from_elsewhere(name) & NETWORK, f"{module} loads {name}"


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_thread_but_where_something_is_shared(module: str) -> None:
    for name in all_below(module) - SHARED:
        assert not imports_from_elsewhere(name) & CONCURRENCY, f"{module} loads {name}"


@each_module
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(TREES[module])


@each_module
def test_every_public_class_and_function_has_a_docstring(module: str) -> None:
    assert [name for name, node in public_definitions(module) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("module", sorted(set(SOURCES) - WITHOUT_SECTION))
def test_a_module_that_follows_an_rfc_names_the_section(module: str) -> None:
    assert SECTION.search(ast.get_docstring(TREES[module]) or "")


@each_module
def test_no_obsolete_rfc_is_cited(module: str) -> None:
    assert OBSOLETE.findall(SOURCES[module]) == []


@each_module
def test_no_function_is_long(module: str) -> None:
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(TREES[module])
        if isinstance(node, Function)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@each_module
def test_no_module_is_long(module: str) -> None:
    assert len(SOURCES[module].splitlines()) <= LONGEST_MODULE
