import pytest

from srv.inference.routes.failures import BadRoutePath, OwnPath
from srv.inference.routes.paths import RoutePath


@pytest.mark.parametrize(
    ("template", "path", "fields"),
    [
        ("explain", "explain", {}),
        ("items/{id}", "items/7", {"id": "7"}),
        ("items/{id}", "items", None),
        ("items/{id}", "items/7/8", None),
        ("{name}:predict", "iris:predict", {"name": "iris"}),
        ("{name}:predict", ":predict", None),
        ("files/{rest:path}", "files/a/b\nc", {"rest": "a/b\nc"}),
        ("a.b", "axb", None),
        ("/score", "score", {}),
        ("{kind}", "docs", None),
        ("{kind}", "docs2", {"kind": "docs2"}),
        ("{rest:path}", "versions/2", None),
        ("{rest:path}", "old/versions", {"rest": "old/versions"}),
        ("/{rest:path}", "v2/models", None),
        ("/{rest:path}", "v2", None),
        ("/{rest:path}", "v22", {"rest": "v22"}),
        ("/{rest:path}", "docs", {"rest": "docs"}),
    ],
)
def test_a_template_matches_whole_segments(template, path, fields):
    assert RoutePath(template).match(path) == fields


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "an empty part"),
        ("/", "an empty part"),
        ("items//all", "an empty part"),
        ("items/", "an empty part"),
        ("../stats", "the part '..'"),
        ("{a}{b}", "two fields in one part"),
        ("{a}/{a}", "the field 'a' twice"),
        ("{rest:path}/more", "elsewhere than as its whole last part"),
        ("items/{1}", "neither plain text nor a field"),
        ("items/{id:int}", "neither plain text nor a field"),
        ("what now", "neither plain text nor a field"),
        ("list?all", "neither plain text nor a field"),
    ],
)
def test_what_is_no_path_is_named_with_what_to_write(template, said):
    with pytest.raises(BadRoutePath, match="Write it like 'explain'") as told:
        RoutePath(template)
    assert said in str(told.value)


@pytest.mark.parametrize("template", ["docs", "docs/mine", "versions/2", "/v2", "/v2/models/{m}/mine"])
def test_paths_that_will_be_srvs_own_are_refused(template):
    with pytest.raises(OwnPath):
        RoutePath(template)


def test_a_literal_segment_comes_before_a_field():
    templates = ["{rest:path}", "items/{id}", "{kind}/new", "items/item-{id}", "items/new"]
    ordered = sorted(map(RoutePath, templates), key=lambda path: path.order)
    assert [path.template for path in ordered] == [
        "items/new",
        "items/item-{id}",
        "items/{id}",
        "{kind}/new",
        "{rest:path}",
    ]
