"""The house stands as it was drawn: floors, names, sizes, what is imported where."""

import ast
import configparser
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import srv

TOP = Path(__file__).parents[1]
CORE = TOP / "core" / "srv"

# The floors: a folder of core/srv, or a module beside the folders, imports only from those named before it. Imports under
# TYPE_CHECKING and inside functions count like all others.
FLOOR_LINES = (
    # The public contract, and what its classes are made of.
    "errors version datatypes uris shown_paths server_urls model_settings arrays tensors cancellation inner_caller busy_threads messages routes metrics_types codec server cgroups cores devices placement runtime file_formats images storage tar_members archives hookspecs",
    "printable safe_logging access_log logs limited_log wire channels",
    # What there is: files, metadata, plugins.
    "settings discovery codecs hooks probe repository tables fetching environments",
    # Models, and one model's way from a request to a response.
    "models model inference planes processes",
    # The faces, the processes, and who looks in from outside.
    "rest grpc client serve modelprocess cli testing __main__",
)
FLOORS = tuple(" ".join(FLOOR_LINES).split())
PLACES = {name: place for place, name in enumerate(FLOORS)}
# Installed with srv for the plugins of ours that import them, and for nothing else.
FOR_PLUGINS_ONLY = {"cachetools", "docker", "jinja2", "pathspec", "prometheus_client", "yaml"}
# Extras of setup.cfg, which only the packages of plugins and of core named here import, each inside of the function that
# needs it.
EXTRAS = {"pandas": ("srv_codecs", "srv.tables"), "pyarrow": ("srv_infer",)}
# The test kit is imported by tests, which have brought these themselves.
FOR_TESTS_ONLY = {CORE / "testing": {"pytest", "pandas"}}
# The lowest floor that may import each library of the faces and processes.
LOWEST_FLOORS = {"falcon": "rest", "grpc": "rest", "gunicorn": "serve", "httptools": "serve", "click": "serve"}
LINES_ON_TWO_SCREENS = 400
MEANINGLESS_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "misc"}


def sources(*roots: str) -> list[Path]:
    return [path for root in roots for path in sorted((TOP / root).rglob("*.py")) if "egg-info" not in str(path)]


def shown(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def room(path: Path) -> str:
    """The module or package of core that a file belongs to: `errors`, `settings`, `rest`."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Every dotted name that a file imports, with its line; `from a import b` gives `a.b`."""
    return tuple(read_imports(path))


def read_imports(path: Path) -> Iterator[tuple[int, str]]:
    package = package_of(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = ".".join([*package[: len(package) - node.level + 1], node.module or ""]).strip(".")
            source = source if node.level else node.module or ""
            yield from ((node.lineno, f"{source}.{name.name}") for name in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def package_of(path: Path) -> list[str]:
    for root in (TOP / "core", TOP / "plugins"):
        if path.is_relative_to(root):
            return list(path.relative_to(root).parts[:-1])
    return []


def requirements() -> set[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / "setup.cfg")
    lines = parser["options"]["install_requires"].strip().splitlines()
    return {canonicalize_name(Requirement(line).name) for line in lines}


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [TOP / name for name in listing.stdout.decode().split("\0") if name and (TOP / name).is_file()]


CORE_FILES = [path for path in sources("core") if path != CORE / "__init__.py"]


def test_commands_print_by_way_of_the_one_function_that_escapes_control_characters():
    printing = [
        path
        for path in sources("core")
        if re.search(r"click\.(echo|secho)\(|^\s*print\(", path.read_text(), re.MULTILINE)
    ]
    assert [shown(path) for path in printing] == ["core/srv/cli/output.py"]


def test_every_module_of_core_has_a_floor():
    assert [shown(path) for path in CORE_FILES if room(path) not in PLACES] == []


def modules() -> dict[str, Path]:
    """The modules of core by the names under which others import them, without `srv.`."""
    names = {".".join(path.relative_to(CORE).with_suffix("").parts): path for path in CORE_FILES}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imported_modules() -> dict[str, set[str]]:
    """Which modules of core and of plugins each of them imports."""
    known = {f"srv.{name}": path for name, path in modules().items()}
    for path in sources("plugins"):
        name = ".".join(path.relative_to(TOP / "plugins").with_suffix("").parts)
        known[name.removesuffix(".__init__")] = path
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        owners = {name if name in known else name.rpartition(".")[0] for _, name in imports(path)}
        graph[module] = owners & set(known) - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The sets of modules that import each other, directly or through others of the set."""
    reached = {module: set(below) for module, below in graph.items()}
    for between in graph:
        for module in graph:
            if between in reached[module]:
                reached[module] |= reached[between]
    return {
        frozenset(other for other in graph if other in reached[module] and module in reached[other])
        for module in graph
        if module in reached[module]
    }


def test_no_modules_import_each_other():
    assert circles(imported_modules()) == set()


def test_modules_that_import_each_other_through_others_would_be_found():
    graph = {"top": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a", "below"}, "below": set()}
    assert circles(graph) == {frozenset({"a", "b", "c"})}
    assert "srv.errors" in imported_modules()["srv.models.loader"]
    assert "srv.images" in imported_modules()["srv_build.command"]


def test_no_module_name_is_there_twice_in_a_floor():
    names: dict[tuple[str, str], list[str]] = {}
    for module, path in modules().items():
        if path.stem != "__init__":
            names.setdefault((room(path), path.stem), []).append(module)
    assert [found for found in names.values() if len(found) > 1] == []


def test_no_two_classes_of_core_share_a_name():
    owners: dict[str, list[str]] = {}
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                owners.setdefault(node.name, []).append(module)
    shared = {name: found for name, found in owners.items() if len(found) > 1}
    # Both are public: the client of users, and the kit's client of an app in process.
    assert shared.pop("Client") == ["client.client", "testing.in_process"]
    assert shared == {}, "choose another name for the newer class"


@pytest.mark.parametrize("path", CORE_FILES, ids=shown)
def test_core_imports_only_from_lower_floors(path):
    mine = PLACES[room(path)]
    faults = []
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] != "srv" or len(parts) < 2:
            continue
        if parts[1] not in PLACES:
            faults.append(f"line {line}: {name} goes through the front door; import from the module that owns it")
        elif parts[1] != room(path) and PLACES[parts[1]] >= mine:
            faults.append(f"line {line}: {name} is not below {room(path)}")
    assert faults == []


def test_the_front_door_imports_nothing():
    code = "import sys; before = set(sys.modules); import srv; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert [name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names] == ["srv"]


def test_the_process_that_forks_imports_nothing_that_only_a_worker_needs():
    code = "import sys, srv.cli.open_folder, srv.cli.start, srv.serve.launcher; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    for_workers = {"numpy", "grpc", "google", "falcon", "orjson", "simdjson", "pluggy", "asyncio"}
    for_faults = {"difflib", "packaging", "subprocess"}
    if version("marshmallow").startswith("3."):
        for_faults.remove("packaging")  # marshmallow 3 imports it itself
    assert {name.partition(".")[0] for name in loaded} & (for_workers | for_faults) == set()


def test_core_imports_no_plugin():
    faults = [
        f"{shown(path)}:{line} {name}"
        for path in sources("core")
        for line, name in imports(path)
        if name.startswith("srv_")
    ]
    assert faults == []


def test_plugins_import_no_contrib():
    contrib = {path.parent.name for path in (TOP / "contrib").glob("*/*/__init__.py")}
    faults = [
        f"{shown(path)}:{line} {name}"
        for path in sources("core", "plugins")
        for line, name in imports(path)
        if name.split(".")[0] in contrib
    ]
    assert faults == []


def test_core_and_plugins_import_only_what_setup_cfg_requires():
    ours = {"srv"} | {path.name for path in (TOP / "plugins").iterdir()}
    distributions = packages_distributions()
    required = requirements()
    faults = []
    for path in sources("core", "plugins"):
        for line, name in imports(path):
            package = name.split(".")[0]
            if package in ours or package in sys.stdlib_module_names or package in FOR_TESTS_ONLY.get(path.parent, ()):
                continue
            brought_by = {canonicalize_name(each) for each in distributions.get(package, [package])}
            if any(name.rpartition(".")[2] in path.relative_to(TOP).parts for name in EXTRAS.get(package, ())):
                continue
            if not brought_by & required:
                faults.append(f"{shown(path)}:{line} imports {package}, which setup.cfg does not require")
    assert faults == []


def test_an_extra_is_imported_by_no_module_of_its_plugin_as_such():
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[2:]]; print(sys.argv[1] in sys.modules)"
    for package, places in EXTRAS.items():
        modules = [
            f"{place}.{path.stem}"
            for place in places
            for root in (TOP / "core", TOP / "plugins")
            for path in root.joinpath(*place.split(".")).glob("[!_]*.py")
        ]
        run = [sys.executable, "-c", code, package, *modules]
        assert subprocess.run(run, capture_output=True, check=True, text=True).stdout == "False\n"


def test_core_leaves_to_plugins_what_only_plugins_need():
    faults = [
        f"{shown(path)}:{line} {name}"
        for path in sources("core")
        for line, name in imports(path)
        if name.split(".")[0] in FOR_PLUGINS_ONLY
    ]
    assert faults == []


def test_only_the_upper_floors_know_a_wire():
    faults = [
        f"{shown(path)}:{line} {name}"
        for path in CORE_FILES
        for line, name in imports(path)
        if PLACES[room(path)] < PLACES[LOWEST_FLOORS.get(name.split(".")[0], FLOORS[0])]
    ]
    assert faults == []


@pytest.mark.parametrize("path", [path for path in sources("core", "plugins") if path.stat().st_size], ids=shown)
def test_a_module_says_in_one_line_what_it_is(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()), clean=True)
    assert docstring, "no docstring"
    first, _, rest = docstring.partition("\n")
    assert len(first) <= 116
    assert rest == "" or rest.startswith("\n"), "the first line is a sentence of its own"


@pytest.mark.parametrize("path", sources("core", "plugins"), ids=shown)
def test_a_module_fits_on_a_few_screens(path):
    assert len(path.read_text().splitlines()) <= LINES_ON_TWO_SCREENS


def test_names_say_what_a_thing_is_about():
    names = {name for path in sources("core", "plugins") for name in (path.stem, path.parent.name)}
    assert names & MEANINGLESS_NAMES == set()


def test_no_folder_is_named_build_or_dist():
    folders = {part for path in tracked() for part in path.relative_to(TOP).parts[:-1]}
    assert folders & {"build", "dist"} == set()


def test_no_file_names_a_path_of_somebodys_machine():
    machine = re.compile(rb"(?<![\w.-])/(?:" + rb"|".join([b"wo" + b"rk", b"fa" + b"rm", b"ho" + b"me/\\w+"]) + rb")/")
    assert [shown(path) for path in tracked() if machine.search(path.read_bytes())] == []


def test_a_file_of_tests_names_the_stages_of_its_tests_itself():
    """Because tests/conftest.py passes over files that do not name the stage that is asked for."""
    stages = re.compile(r"\bmark\.(e2e|installed|fuzz|hostile|images)\b")
    others = [path for path in (TOP / "tests").rglob("*.py") if not path.name.startswith("test_")]
    assert [path.name for path in others if stages.search(path.read_text())] == []


def test_each_plugin_of_ours_is_named_by_an_entry_point():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / "setup.cfg")
    named = "".join(text for group, text in parser["options.entry_points"].items() if group.startswith("srv."))
    packages = [path.name for path in (TOP / "plugins").iterdir() if (path / "__init__.py").is_file()]
    assert [name for name in packages if f"= {name}" not in named] == []


def test_the_public_names_are_those_of_the_contract():
    assert set(srv.__all__) == {
        "Runtime",
        "InferenceRequest",
        "InferenceResponse",
        "Tensor",
        "Spec",
        "ModelSettings",
        "InvalidInput",
        "Unauthenticated",
        "Client",
        "Forbidden",
        "NotFound",
        "Unavailable",
        "RouteRequest",
        "RouteResponse",
        "InputCodec",
        "RequestCodec",
        "codecs",
        "hookimpl",
        "__version__",
    }


@pytest.mark.parametrize("name", srv.__all__)
def test_each_public_name_is_there(name):
    assert getattr(srv, name) is not None
