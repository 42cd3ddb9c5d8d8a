"""What settings say of tables: kinds of columns, and names of classes."""

import pytest
from marshmallow import Schema, ValidationError

from srv.tables.extra import UnfitClasses, classes_field, columns_field, named_classes


class Extra(Schema):
    columns = columns_field()
    classes = classes_field("The names of the classes.")


def test_nothing_said_is_no_columns_and_no_names():
    assert Extra().load({}) == {"columns": {}, "classes": None}
    assert named_classes(None, 3) is None


@pytest.mark.parametrize("classes", [["a", "b"], [3, 7], [True, False], [0.5, 1.5]])
def test_classes_of_one_kind_are_named_by_their_places(classes):
    assert named_classes(Extra().load({"classes": classes})["classes"], 2).tolist() == classes


@pytest.mark.parametrize("classes", [["a", "a"], ["a", 1], [], [1, True]])
def test_classes_that_are_no_names_are_refused(classes):
    with pytest.raises(ValidationError, match="all of one kind and each of them once"):
        Extra().load({"classes": classes})


@pytest.mark.parametrize("count, has", [(3, "has 3 classes"), (0, "has no classes")])
def test_another_number_of_classes_than_the_model_has_is_refused(count, has):
    with pytest.raises(UnfitClasses, match=f"names 2 classes, and the model {has}"):
        named_classes(["a", "b"], count)
