import builtins
import importlib
import inspect
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from textwrap import dedent

import pytest

import srv.model
from srv.models.model_imports import BadImplementation, ModelCode
from srv.models.module_names import Links, identifier_of


@pytest.fixture
def folder(tmp_path):
    """Writes files into a folder: folder(models="...")."""

    def write(name="model", **files):
        place = tmp_path / name
        for file, text in files.items():
            path = place / f"{file.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return place

    return write


@pytest.fixture
def code():
    made = []

    def make(place, model="model", links=None):
        made.append(ModelCode(place, model, links=links))
        return made[-1]

    yield make
    for each in made:
        each.forget()


def test_two_folders_may_have_modules_of_the_same_name(folder, code):
    first = code(folder("a", models="from helper import NAME", helper="NAME = 'first'"))
    second = code(folder("b", models="from helper import NAME", helper="NAME = 'second'"))

    assert first.attribute("models.NAME") == "first"
    assert second.attribute("models.NAME") == "second"
    assert "models" not in sys.modules
    assert "helper" not in sys.modules


def test_a_late_import_finds_its_sibling_too(folder, code):
    place = folder(models="def late():\n    import helper\n    return helper.NAME", helper="NAME = 'late'")

    assert code(place).attribute("models.late")() == "late"


@pytest.mark.parametrize(
    "statement, expression",
    [
        ("import pack.inner", "pack.inner.NAME"),
        ("from pack import inner", "inner.NAME"),
        ("from pack.inner import NAME", "NAME"),
        ("import pack.inner as other", "other.NAME"),
        ("from . import pack; from .pack import inner", "inner.NAME"),
        ("from pack import *", "inner.NAME"),
    ],
)
def test_packages_in_the_folder_are_siblings_too(folder, code, statement, expression):
    place = folder(
        models=f"{statement}\nVALUE = {expression}",
        pack__in____init__="__all__ = ['inner']",
        pack__in__inner="from .deeper import NAME",
        pack__in__deeper="NAME = 'deep'",
    )

    assert code(place).attribute("models.VALUE") == "deep"


def test_a_sibling_named_like_the_standard_library_shadows_it_for_this_model_only(folder, code):
    place = folder(models="import queue\nimport json\nNAME = queue.NAME", queue="NAME = 'mine'")

    assert code(place).attribute("models.NAME") == "mine"
    import queue

    assert hasattr(queue, "SimpleQueue")


def test_a_reload_takes_the_files_as_they_are_now(folder, code):
    place = folder(models="from helper import NAME", helper="NAME = 1")
    assert code(place).attribute("models.NAME") == 1
    folder(helper="NAME = 2")

    assert code(place).attribute("models.NAME") == 2


def test_a_pickle_finds_its_classes_during_the_load_and_nobody_does_afterwards(folder, code):
    place = folder(models="import helper", helper="class Thing:\n    pass")
    first = code(place)
    thing = first.attribute("helper.Thing")
    thing.__module__ = "helper"
    with first.plain_names():
        pickled = pickle.dumps(thing())

    again = code(place)
    with again.plain_names():
        found = pickle.loads(pickled)

    assert type(found) is again.attribute("helper.Thing")
    assert "helper" not in sys.modules


def test_an_installed_module_of_the_same_name_comes_back_after_the_load(folder, code):
    import pluggy

    made = code(folder(pluggy="MINE = True"))
    assert made.attribute("pluggy.MINE")
    with made.plain_names():
        assert sys.modules["pluggy"].MINE

    assert sys.modules["pluggy"] is pluggy


def test_dataclasses_and_type_hints_work_in_a_private_module(folder, code):
    place = folder(
        models="""
            from __future__ import annotations
            import typing
            from dataclasses import dataclass

            @dataclass
            class Point:
                x: int
                other: typing.ClassVar[Point]

            HINTS = typing.get_type_hints(Point)
        """
    )

    assert code(place).attribute("models.HINTS")["x"] is int


def test_what_is_not_in_the_folder_is_looked_for_among_what_is_installed(tmp_path, code):
    assert code(tmp_path).attribute("srv.runtime.Runtime").__name__ == "Runtime"


@pytest.mark.parametrize(
    "implementation, sentence",
    [
        ("Runtime", "takes the form 'module.Class'"),
        ("nowhere.Runtime", "neither in the model's folder nor installed"),
        ("models.Missing", "has no 'Missing'"),
    ],
)
def test_an_implementation_that_names_nothing_says_what_is_wrong(folder, code, implementation, sentence):
    with pytest.raises(BadImplementation, match=sentence):
        code(folder(models="")).attribute(implementation)


def test_a_missing_import_inside_the_module_is_not_mistaken_for_a_missing_module(folder, code):
    with pytest.raises(ModuleNotFoundError, match="nonsense_of_mine"):
        code(folder(models="import nonsense_of_mine")).attribute("models.X")


def test_forgetting_leaves_nothing_behind(folder, code):
    before = set(sys.modules), list(sys.meta_path)
    made = code(folder(models="import helper", helper=""))
    made.attribute("models.helper")

    made.forget()

    assert (set(sys.modules), list(sys.meta_path)) == before


# -- names after load ------------------------------------------------------------------------------------------------

UNPICKLED = b"\x80\x04\x8c\x06helper\x94\x8c\x05Thing\x94\x93\x94."  # helper.Thing, as pickled before serving

LATE = """
    import importlib, io, pickle
    from importlib import import_module
    def loads(data):
        return pickle.loads(data)
    def python_loads(data):
        return pickle._Unpickler(io.BytesIO(data)).load()
    def by_another(data):
        import unpickles
        return unpickles.anything(data)
    def module(data):
        return importlib.import_module("helper").Thing
    def bare_name(data):
        return import_module("helper").Thing
    def resolve(data):
        from logging.config import BaseConfigurator
        return BaseConfigurator({}).resolve("helper.Thing")
    def in_package(data):
        return importlib.import_module("pack.inner").Thing
    def in_a_thread(data):
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(loads, data).result()
"""
THING = "class Thing:\n    OWNER = '{}'"
LATE_WAYS = ["loads", "python_loads", "by_another", "module", "bare_name", "resolve", "in_package", "in_a_thread"]


def late(folder, code, name):
    place = folder(
        name,
        models=LATE,
        helper=THING.format(name),
        pack__in____init__="",
        pack__in__inner=THING.format(name),
        unpickles="import pickle\ndef anything(data):\n    return pickle.loads(data)",
    )
    return code(place, name)


@pytest.mark.parametrize("way", LATE_WAYS)
def test_after_the_load_each_models_code_finds_its_own_modules_by_their_plain_names(folder, code, way):
    models = {name: late(folder, code, name) for name in ("a", "b")}

    for name in ("a", "b", "a"):
        found = models[name].attribute(f"models.{way}")(UNPICKLED)
        assert (found.OWNER, found.__module__.startswith(f"srv.model.{name}.")) == (name, True)

    for each in models.values():
        each.forget()
    assert {"helper", "pack", "pack.inner"} & set(sys.modules) == set()


def test_while_another_model_loads_a_models_code_still_finds_its_own(folder, code):
    serving, loading = late(folder, code, "a"), late(folder, code, "b")
    loading.attribute("helper.Thing")

    with loading.plain_names():
        assert serving.attribute("models.loads")(UNPICKLED).OWNER == "a"
        assert pickle.loads(UNPICKLED).OWNER == "b"

    assert serving.attribute("models.loads")(UNPICKLED).OWNER == "a"


def test_code_of_no_model_does_not_find_a_models_module_by_its_plain_name(folder, code):
    first = late(folder, code, "a")

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("helper")
    assert first.attribute("models.module")(None).OWNER == "a"


def test_a_plain_name_that_no_module_of_the_model_has_is_not_found(folder, code):
    ask = code(folder(models="import importlib\ndef ask(name):\n    return importlib.import_module(name)"))

    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_that_name'"):
        ask.attribute("models.ask")("nothing_of_that_name")


@pytest.mark.parametrize(
    "name, version, expected",
    [
        ("iris", None, "iris"),
        ("Iris_2", None, "Iris_2"),
        ("house-prices", None, "house_prices_"),
        ("house.prices", None, "house_prices_"),
        ("iris", "2", "iris_2_"),
        ("2iris", None, "m_2iris_"),
        ("class", None, "class_"),
    ],
)
def test_a_models_private_name_is_an_identifier(name, version, expected):
    found = identifier_of(name, version)

    assert found.isidentifier()
    assert found.startswith(expected)
    assert found == identifier_of(name, version)


def test_no_two_models_have_one_private_name():
    models = [("a-b", None), ("a.b", None), ("a_b", None), ("a", "b"), ("a_b", "1"), ("a", "b_1"), ("A_b", None)]

    assert len({identifier_of(*model) for model in models}) == len(models)


def test_models_of_the_same_name_in_two_servers_of_a_process_do_not_meet(folder, code):
    first = code(folder("a", models="NAME = 1\nclass A: pass"), links=Links())
    second = code(folder("b", models="NAME = 2\nclass A: pass"), links=Links())

    for each in (first, second):
        made = each.attribute("models.A")
        assert pickle.loads(pickle.dumps(made)) is made
    assert (first.attribute("models.NAME"), second.attribute("models.NAME")) == (1, 2)


SEEN = """
    from dataclasses import dataclass
    from enum import Enum
    from functools import lru_cache
    from typing import NamedTuple
    import pickle
    from pack import inner

    class Seen:
        class Within:
            pass
        def method(self):
            return self.VALUE
        VALUE = {value}

    @dataclass
    class Point:
        x: int

    class Colour(Enum):
        RED = 1

    class Pair(NamedTuple):
        a: int

    @lru_cache
    def cached(x):
        return {value}

    def function():
        return {value}

    def read(data):
        return pickle.loads(data)

    def write():
        return pickle.dumps([Seen(), Seen.Within(), Point(1), Colour.RED, Pair(1), cached, function, Seen.method, inner.deep])

    def late():
        import afterwards
        return afterwards.VALUE

    def names():
        return [__name__, inner.deep.__module__, Seen.__module__, function.__module__]
"""


def seen(folder, value):
    return folder(
        models=SEEN.format(value=value),
        pack__in____init__="from . import inner",
        pack__in__inner=f"def deep():\n    return {value}",
        afterwards=f"VALUE = {value}",
    )


def elsewhere(function, *arguments):
    """Calls a function in a thread with none of the model's frames, such as a pool's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def kinds(values):
    return [value if callable(value) else type(value) for value in values]


def test_names_are_the_same_after_a_reload(folder, code):
    place = seen(folder, 1)
    first = code(place)
    before = first.attribute("models.names")()
    second = code(seen(folder, 2))
    second.attribute("models.names")
    first.forget()

    assert second.attribute("models.names")() == before
    assert before[0] == "srv.model.model.models"


def test_what_was_pickled_before_a_reload_is_read_after_it_as_the_new_code_has_it(folder, code):
    first = code(seen(folder, 1))
    data = first.attribute("models.write")()
    second = code(seen(folder, 2))
    first_again = second.attribute("models.read")(data)
    first.forget()

    for found in (first_again, second.attribute("models.read")(data), pickle.loads(data)):
        assert found[0].method() == 2
        assert found[6]() == 2
        assert kinds(found)[1] is second.attribute("models.Seen").Within


@pytest.mark.parametrize("pickles", [pickle.dumps, partial(elsewhere, pickle.dumps)], ids=["here", "elsewhere"])
def test_the_generation_before_pickles_and_reads_its_own_until_it_is_forgotten(folder, code, pickles):
    first = code(seen(folder, 1))
    old = pickle.loads(first.attribute("models.write")())
    before = pickle.dumps(old)
    read = first.attribute("models.read")
    second = code(seen(folder, 2))
    second.attribute("models.Seen")

    data = pickles(old)

    assert kinds(read(data)) == kinds(pickle.loads(data)) == kinds(elsewhere(pickle.loads, data)) == kinds(old)
    assert kinds(read(before)) == kinds(old)
    assert elsewhere(pickle.loads, before)[0].method() == 2
    first.forget()
    assert pickle.loads(data)[0].method() == 2


def test_the_generation_before_finds_its_own_siblings_while_the_next_one_loads(folder, code):
    first = code(seen(folder, 1))
    late_import, read, before = (first.attribute(f"models.{name}") for name in ("late", "read", "write"))
    data = before()
    code(folder(models="raise RuntimeError('not yet')"))

    assert late_import() == 1
    assert read(data)[0].method() == 1


@pytest.mark.parametrize(
    "event, reader",
    [(event, reader) for event in ("begins", "is imported", "fails", "takes over") for reader in ("first", "nobody")]
    + [("fails", "second"), ("takes over", "second")],
)
def test_a_pickle_is_read_whatever_a_reload_does_at_that_moment(folder, code, monkeypatch, event, reader):
    """A pickle is read in two steps, import and a look into sys.modules; another thread goes on with a reload between."""
    first = code(seen(folder, 1))
    data, read = first.attribute("models.write")(), first.attribute("models.read")
    second = code(seen(folder, 2)) if event != "begins" else None
    if event == "takes over":
        second.attribute("models.Seen")
    if reader == "second":
        read = second.attribute("models.read")
    elif reader == "nobody":
        read = pickle.loads
    happens = {
        "begins": lambda: code(seen(folder, 2)),
        "is imported": lambda: second.attribute("models.Seen"),
        "fails": lambda: second.forget(),
        "takes over": lambda: first.forget(),
    }[event]
    statement, happened = builtins.__import__, []

    def and_then(name, *arguments):
        module = statement(name, *arguments)
        if name.startswith("srv.model.model") and not happened:
            happened.append(name)
            elsewhere(happens)
        return module

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", and_then)
        found = read(data)

    assert happened
    assert found[0].method() in (1, 2)


@pytest.mark.parametrize(
    "statement, expression",
    [
        ("import features", "features"),
        ("from . import features", "features"),
        ("from features import inner", "inner"),
        ("import features.inner as inner", "inner"),
        ("from .features.inner import KIND as kind", "kind"),
    ],
)
def test_the_next_generation_imports_its_own_modules_while_the_one_before_is_there(folder, code, statement, expression):
    def written(kind):
        text = f"{statement}\ndef shown():\n    import sys\n    return {expression}, sys.modules[__package__ + '.features.inner']"
        if statement in ("import features", "from . import features"):
            text = f"import features.inner\n{text}"
        return folder(models=text, features__in____init__=f"KIND = {kind!r}", features__in__inner=f"KIND = {kind!r}")

    first = code(written("first"))
    old = first.attribute("models.shown")
    assert getattr(old()[0], "KIND", old()[0]) == "first"

    new, inner = code(written("second")).attribute("models.shown")()

    assert getattr(new, "KIND", new) == inner.KIND == "second"
    assert type(inner).__name__ != "Early"
    assert getattr(old()[0], "KIND", old()[0]) == old()[1].KIND == "first"


def test_a_module_that_the_next_generation_lacks_is_none_of_its_own(folder, code):
    place = folder(models="import features", features="KIND = 'first'")
    first = code(place)
    first.attribute("models.features")
    (place / "features.py").unlink()
    folder(models="try:\n    import features\nexcept ModuleNotFoundError as error:\n    features = error.name")
    second = code(place)

    assert second.attribute("models.features") in ("features", "srv.model.model.features")
    assert not second.has("features")
    assert first.attribute("models.features").KIND == "first"


def test_a_module_that_fails_leaves_that_of_the_generation_before(folder, code):
    place = folder(models="import features\ndef kind():\n    return features.KIND", features="KIND = 'first'")
    first = code(place)
    kind = first.attribute("models.kind")
    folder(features="raise RuntimeError('not today')")
    second = code(place)

    with pytest.raises(RuntimeError, match="not today"):
        second.attribute("models.kind")
    assert kind() == "first"
    folder(features="KIND = 'second'")
    assert second.attribute("models.kind")() == "second"


def test_a_generation_that_cannot_be_loaded_leaves_the_one_before_as_it_was(folder, code):
    first = code(seen(folder, 1))
    names, read, write = (first.attribute(f"models.{name}") for name in ("names", "read", "write"))
    before, data = names(), write()
    second = code(folder(models="syntax error!"))
    with pytest.raises(SyntaxError):
        second.attribute("models.Seen")
    read(data)
    second.forget()

    assert names() == before
    assert kinds(read(write())) == kinds(read(data)) == kinds(pickle.loads(data))
    assert type(sys.modules["srv.model.model.models"]).__name__ == "module"


def test_when_the_generation_before_is_forgotten_modules_are_ordinary_ones(folder, code):
    first = code(seen(folder, 1))
    first.attribute("models.Seen")
    second = code(seen(folder, 2))
    module = inspect.getmodule(second.attribute("models.Seen"))
    shared = type(module).__name__
    first.forget()

    assert (shared, type(module).__name__) == ("_Shared", "module")
    assert [name for name in sys.modules if "~" in name] == []


def test_a_module_knows_itself_as_python_would_have_it(folder, code):
    place = folder(
        models="""
            from __future__ import annotations
            import sys, typing, importlib
            from importlib import resources
            from dataclasses import dataclass
            if typing.TYPE_CHECKING:
                from nowhere import Nothing

            @dataclass
            class Point:
                x: int

            def facts():
                return {
                    "module": sys.modules[__name__].Point is Point,
                    "import": importlib.import_module(Point.__module__).Point is Point,
                    "relative": importlib.import_module(".helper", __package__).NAME,
                    "data": (resources.files(__package__) / "words.txt").read_text(),
                    "hints": typing.get_type_hints(Point),
                    "file": __file__,
                    "spec": (__spec__.name, __spec__.parent),
                }
        """,
        helper="NAME = 'helper'",
    )
    (place / "words.txt").write_text("straw live")
    first = code(place)
    for make in (lambda: first, lambda: code(place)):
        generation = make()
        facts = generation.attribute("models.facts")()
        source = inspect.getsource(generation.attribute("models.Point"))

        assert facts == {
            "module": True,
            "import": True,
            "relative": "helper",
            "data": "straw live",
            "hints": {"x": int},
            "file": str(place / "models.py"),
            "spec": ("srv.model.model.models", "srv.model.model"),
        }
        assert source.startswith("@dataclass")


@pytest.mark.parametrize(
    "files, expression",
    [
        ({"space__in__inner__in__deep": "NAME = 1"}, "import_module('space.inner.deep').NAME"),
        ({"one": "import two\nNAME = 1", "two": "import one\ndef name(): return one.NAME"}, "import_module('two').name()"),
        ({"one": "from . import two\nNAME = 1", "two": "from . import one\ndef name(): return one.NAME"},
         "import_module('two').name()"),
        ({"serve-model": "NAME = 1"}, "import_module('serve-model').NAME"),
    ],
    ids=["a namespace package", "a circle", "a relative circle", "a hyphen"],
)  # fmt: skip
def test_modules_of_every_kind_are_found_late(folder, code, files, expression):
    place = folder(models=f"from importlib import import_module\ndef late():\n    return {expression}", **files)

    assert code(place).attribute("models.late")() == 1
    assert code(place).attribute("models.late")() == 1


def test_forgetting_after_use_under_every_name_leaves_nothing_behind(folder, code):
    before = set(sys.modules), list(sys.meta_path), set(vars(srv.model))
    first = late(folder, code, "a")
    with first.plain_names():
        for way in LATE_WAYS:
            first.attribute(f"models.{way}")(UNPICKLED)
    second = late(folder, code, "a")
    for way in LATE_WAYS:
        second.attribute(f"models.{way}")(UNPICKLED)

    first.forget()
    second.forget()

    assert (set(sys.modules), list(sys.meta_path), set(vars(srv.model))) == before


# -- in child processes ----------------------------------------------------------------------------------------------

CHILD = """
import pickle, sys
for line in sys.stdin:
    try:
        found = pickle.loads(bytes.fromhex(line))
        print(found() if callable(found) else found, flush=True)
    except BaseException as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.fixture
def child():
    """Unpickles in another process, as a pool's worker does: child(pickled) gives what the function returns there."""
    processes = []

    def ask(data):
        if not processes:
            process = subprocess.Popen(
                [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            processes.append(process)
        processes[0].stdin.write(data.hex() + "\n")
        processes[0].stdin.flush()
        return processes[0].stdout.readline().strip()

    yield ask
    for process in processes:
        with process:
            process.stdin.close()


@pytest.fixture
def links():
    made = Links()
    yield made
    made.close()


COUNTS = """
    import helper
    calls = 0
    def value():
        global calls
        calls += 1
        return f"{helper.VALUE} {calls}"
"""


def counting(folder, value):
    return folder(models=COUNTS, helper=f"VALUE = {value}")


def test_a_child_process_finds_a_models_functions(folder, code, links, child):
    value = code(counting(folder, 1), links=links).attribute("models.value")

    assert child(pickle.dumps(value)) == "1 1"
    assert child(pickle.dumps(value)) == "1 2"


def test_a_child_process_that_is_older_than_a_model_finds_it_too(folder, code, links, child):
    first = code(counting(folder, 1), "first", links=links).attribute("models.value")
    assert child(pickle.dumps(first)) == "1 1"

    later = code(folder("later", models="def value():\n    return 'later'"), "later", links=links)

    assert child(pickle.dumps(later.attribute("models.value"))) == "later"


def test_a_child_process_runs_each_generation_as_it_was_and_the_newest_as_it_is(folder, code, links, child):
    first = code(counting(folder, 1), links=links)
    old = first.attribute("models.value")
    assert child(pickle.dumps(old)) == "1 1"

    second = code(counting(folder, 2), links=links)
    new = second.attribute("models.value")

    assert child(pickle.dumps(new)) == "2 1"
    assert child(pickle.dumps(old)) == "1 2"
    first.forget()
    assert child(pickle.dumps(new)) == "2 2"


def test_a_child_process_goes_on_with_the_generation_before_where_a_load_has_failed(folder, code, links, child):
    old = code(counting(folder, 1), links=links).attribute("models.value")
    assert child(pickle.dumps(old)) == "1 1"
    failing = code(counting(folder, 2), links=links)
    assert child(pickle.dumps(failing.attribute("models.value"))) == "2 1"

    failing.forget()

    assert child(pickle.dumps(old)) == "1 2"


def test_where_no_model_has_that_name_a_sentence_says_so(folder, code, links, child):
    gone = code(folder(models="def value(): pass"), "gone", links=links)
    data = pickle.dumps(gone.attribute("models.value"))
    gone.forget()
    links.close()

    assert "it belongs to a model that neither this process nor the one that started it has loaded" in child(data)
    with pytest.raises(ModuleNotFoundError, match="it belongs to a model"):
        pickle.loads(data)
