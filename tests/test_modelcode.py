import pickle
import sys
from textwrap import dedent

import pytest

from srv.modelcode import BadImplementation, ModelCode


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

    def make(place, model="model"):
        made.append(ModelCode(place, model))
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
