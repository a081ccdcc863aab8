"""The structure of the package, read from its source: imports, docstrings, lengths. A wing is a folder of modules."""

import ast
import functools
import pathlib
import re
import sys
from collections.abc import Iterator

import httpsock
from tests.support.rows import each_row

PACKAGE = pathlib.Path(httpsock.__file__).parent


def name_of(file: pathlib.Path) -> str:
    """Return the dotted name of a module within the package, such as "http.grammar"."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


SOURCES = {name_of(file): file.read_text(encoding="utf-8") for file in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}

# The wings that each wing may import, besides itself.
WINGS = {
    "http": set[str](),
    "tracing": {"http"},
    "files": {"http"},
    "client": {"http", "tracing"},
    "handlers": {"http", "files"},
    "server": {"http", "handlers"},
    "processes": {"server"},
    "discovery": {"http", "tracing", "client", "server"},
    "observe": {"http", "tracing", "files", "server"},
    "testing": {"http", "tracing", "files", "server", "handlers"},
    "cli": {"http", "tracing", "files", "handlers", "client", "server", "processes", "discovery", "observe", "testing"},
}
# The only files of the server that may import the wing "files".
KNOWS_FILES = {"server.server"}
# The modules of the standard library that a wing must not load, directly or through other modules.
NETWORK = {"asyncio", "select", "selectors", "socket", "socketserver", "ssl"}
CONCURRENCY = {"_thread", "concurrent", "multiprocessing", "queue", "threading"}
UNSEEN = {
    "http": NETWORK | CONCURRENCY | {"os", "signal"},
    "files": NETWORK | {"signal"},
    "client": CONCURRENCY | {"signal"},
}
# Wings and files that implement no section of an RFC.
WITHOUT_SECTION = re.compile(
    r"__init__|__main__|cli\..*|http\.(?:checks|masking)|files\.(?:cache|listing.*)|observe\.recorder|"
    r"tracing\.(?:events|trace|output)|"
    r"server\.(?:access_log|addresses|arguments|connection_limit|event_loop|fairness|leader|poller|process|server)|processes\..*"
)
SECTION = re.compile(r"RFC \d{4,5} (?:§§?|section )[\dA-Z]")
# The RFCs that defined HTTP/1.1 before RFC 9110 to 9112.
OBSOLETE = re.compile(r"(?:RFC *)?\b(?:2068|2616|723[0-5])\b")

LONGEST_FUNCTION = 45
# The parameters of the constructors that a program calls are documentation: they do not count.
# A file is one chapter, a wing one volume.
LONGEST_MODULE = 450
LONGEST_WING = 3600
LONGEST_TEST_MODULE = 700
# The programs in benchmarks/ and reliability/ are not tests: they have their own helpers.
TEST_FILES = [
    file
    for file in sorted(pathlib.Path(__file__).parent.rglob("*.py"))
    if not {"benchmarks", "reliability"} & set(file.parts)
]
TEST_SOURCES = {str(file.relative_to(pathlib.Path(__file__).parent)): file.read_text("utf-8") for file in TEST_FILES}
CONFORMANCE_SOURCES = {
    str(file.relative_to(PACKAGE.parent)): file.read_text("utf-8")
    for file in sorted((PACKAGE.parent / "conformance").rglob("*.py"))
}
# Windows lacks these modules, and all signals but a few.
UNIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
UNIX_SIGNAL = re.compile(r"SIG(?!INT$|TERM$|ABRT$|FPE$|ILL$|SEGV$|_)[A-Z0-9]+")

Function = ast.FunctionDef | ast.AsyncFunctionDef

each_module = each_row("module", SOURCES)
each_wing = each_row("wing", WINGS)


@functools.cache
def imports_of_package(module: str, *, also_for_types: bool = True) -> set[str]:
    """Return the modules of httpsock that *module* imports. Include imports inside functions."""
    tree = TREES[module]
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or (id(node) in for_types and not also_for_types):
            continue
        if node.level:
            base = [*module.split(".")[:1], *((node.module or "").split(".") if node.module else [])]
        elif (node.module or "").split(".")[0] == "httpsock":
            base = (node.module or "").split(".")[1:]
        else:
            continue
        for alias in node.names:
            # ``from .a import x`` names the module a, ``from . import a`` too.
            whole, part = ".".join([*base, alias.name]), ".".join(base)
            found.add(whole if whole in SOURCES else part if part in SOURCES else "__init__")
    return found


def imports_from_elsewhere(module: str) -> set[str]:
    """Return the top-level packages outside httpsock that *module* imports."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found - {"httpsock"}


def files_of(wing: str) -> list[str]:
    """Return the names of the modules in *wing*."""
    return [name for name in SOURCES if name.split(".")[0] == wing]


@functools.cache
def all_below(module: str) -> set[str]:
    """Return *module* and every module that it imports, directly or indirectly."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= imports_of_package(name, also_for_types=False) - found
    return found


def public_definitions(module: str) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Yield the name and the node of each public class, function and method in *module*."""
    for node in TREES[module].body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node.name, node
            for member in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(member, Function) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


def test_every_file_is_in_a_wing() -> None:
    assert {name.split(".")[0] for name in SOURCES} == {*WINGS, "__init__", "__main__"}


@each_wing
def test_a_wing_imports_only_allowed_wings(wing: str) -> None:
    for name in files_of(wing):
        allowed = WINGS[wing] | {wing} | ({"files"} if name in KNOWS_FILES else set())
        # The wing "cli" imports the version from the package itself.
        allowed |= {"__init__"} if wing == "cli" else set()
        imported = {each.split(".")[0] for each in imports_of_package(name, also_for_types=False)}
        assert imported <= allowed, f"{name} imports {imported - allowed}"


@each_row("wing", UNSEEN)
def test_a_wing_loads_no_forbidden_module(wing: str) -> None:
    for name in files_of(wing):
        own = [each for each in all_below(name) if each.split(".")[0] in (wing, "http")]
        seen = {each: imports_from_elsewhere(each) & UNSEEN[wing] for each in own}
        assert not any(seen.values()), {each: names for each, names in seen.items() if names}


@each_module
def test_no_file_imports_itself_through_others(module: str) -> None:
    for name in imports_of_package(module, also_for_types=False):
        assert module not in all_below(name), f"{module} and {name} import each other"


@each_wing
def test_the_docstring_of_a_wing_lists_each_of_its_files_once(wing: str) -> None:
    """Each row of the list has the name of a file and its purpose."""
    rows = re.findall(r"^    (\w+)(?:\.html)? {2,}\S.*$", SOURCES[wing], re.MULTILINE)
    files = [name.partition(".")[2] for name in files_of(wing) if "." in name]
    assert sorted(set(rows) - {"page"}) == sorted(files)
    assert len(rows) == len(set(rows))


@each_wing
def test_a_wing_has_no_re_exports(wing: str) -> None:
    assert [type(node) for node in TREES[wing].body] == [ast.Expr]


def test_the_docstring_of_the_package_lists_each_wing_once() -> None:
    rows = re.findall(r"^    (\w+) {2,}\S.*$", SOURCES["__init__"], re.MULTILINE)
    assert sorted(rows) == sorted(WINGS)


@each_module
def test_only_the_standard_library_is_imported(module: str) -> None:
    # Only pytest loads the plugin.
    allowed = sys.stdlib_module_names | ({"pytest"} if module == "testing.plugin" else set())
    assert imports_from_elsewhere(module) <= allowed


@each_module
def test_every_module_has_a_docstring(module: str) -> None:
    assert ast.get_docstring(TREES[module])


@each_module
def test_every_public_class_and_function_has_a_docstring(module: str) -> None:
    assert [name for name, node in public_definitions(module) if not ast.get_docstring(node)] == []


@each_row("module", [name for name in SOURCES if "." in name and not WITHOUT_SECTION.fullmatch(name)])
def test_a_module_that_follows_an_rfc_names_the_section(module: str) -> None:
    assert SECTION.search(ast.get_docstring(TREES[module]) or "")


@each_module
def test_no_obsolete_rfc_is_cited(module: str) -> None:
    assert OBSOLETE.findall(SOURCES[module]) == []


@each_module
def test_no_function_is_long(module: str) -> None:
    lengths = {
        node.name: (node.end_lineno or 0) - (node.body[0].lineno if node.name == "__init__" else node.lineno) + 1
        for node in ast.walk(TREES[module])
        if isinstance(node, Function)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@each_module
def test_no_module_is_long(module: str) -> None:
    assert len(SOURCES[module].splitlines()) <= LONGEST_MODULE


@each_wing
def test_no_wing_is_long(wing: str) -> None:
    assert sum(len(SOURCES[name].splitlines()) for name in files_of(wing)) <= LONGEST_WING


def test_no_pattern_has_a_possessive_group() -> None:
    """Before Python 3.11.5, such a group could match too much (python/cpython#106052)."""
    in_class, possessive_group = r"\\.|\[(?:\\.|[^\]\\])*(?:\]|\Z)", r"\)(?:[*+?]|\{[^}]*\})\+"
    patterns = [
        (name, text)
        for name, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        for text in [node.value if isinstance(node.value, str) else node.value.decode("latin-1")]
    ]
    assert [each for each in patterns if re.search(possessive_group, re.sub(in_class, "x", each[1]))] == []


# --- the tests themselves -------------------------------------------------------------------------------------------


def test_no_file_of_tests_is_long() -> None:
    lengths = {name: len(source.splitlines()) for name, source in TEST_SOURCES.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_TEST_MODULE} == {}


def test_no_helper_of_tests_is_defined_twice() -> None:
    """A helper for several files belongs in tests/support. In conformance, it belongs beside the modules."""
    places: dict[str, list[str]] = {}
    for name, helper in helpers(TEST_SOURCES | CONFORMANCE_SOURCES):
        body = helper.body[1:] if ast.get_docstring(helper) else helper.body
        does = ast.dump(helper.args) + "".join(map(ast.dump, body))
        places.setdefault(does, []).append(f"{name}: {helper.name}")
    assert [same for same in places.values() if len(same) > 1] == []


def helpers(sources: dict[str, str]) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the file name and the node of each function in *sources* that is not a test."""
    for name, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("test_"):
                yield name, node


def test_the_tests_can_be_imported_on_windows() -> None:
    """Unix modules and signals are used only inside functions. So Windows can import each test and skip it."""
    programs = {str(file): file.read_text("utf-8") for file in sorted(pathlib.Path(__file__).parent.rglob("*.py"))}
    found = [
        f"{name}: {ast.unparse(node)}"
        for name, source in (programs | CONFORMANCE_SOURCES).items()
        for node in evaluated_at_import(ast.parse(source))
        if needs_unix(node)
    ]
    assert found == []


def evaluated_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below *node* that Python evaluates at import. Skip the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, Function):
            for part in (*child.decorator_list, child.args):
                yield part
                yield from evaluated_at_import(part)
        elif not isinstance(child, ast.Lambda):
            yield from evaluated_at_import(child)


def needs_unix(node: ast.AST) -> bool:
    """Return whether *node* imports a Unix module or uses a Unix signal."""
    if isinstance(node, ast.Import):
        return any(alias.name in UNIX_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in UNIX_MODULES
    return isinstance(node, ast.Attribute) and UNIX_SIGNAL.fullmatch(node.attr) is not None


def test_a_module_and_a_signal_of_unix_are_found() -> None:
    source = "import os, pty\nfrom pwd import getpwnam\n@mark([signal.SIGHUP, signal.SIGTERM])\ndef f(): import grp\n"
    found = [ast.unparse(node) for node in evaluated_at_import(ast.parse(source)) if needs_unix(node)]
    assert found == ["import os, pty", "from pwd import getpwnam", "signal.SIGHUP"]
