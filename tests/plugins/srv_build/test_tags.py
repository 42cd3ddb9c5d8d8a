import pytest

from srv_build.errors import BadTag
from srv_build.tags import check_tag

GOOD = ["acme", "acme:1.0", "acme/forecasts:v1_2-rc.1", "registry.example:5000/team/a-b/c__d:latest", "a.b/c", "x/y/z"]
BAD = [
    "",
    "Acme:1",
    "acme:",
    "acme: 1",
    "acme;rm -rf .",
    "acme:$(id)",
    "acme:`id`",
    "acme&&id",
    "acme|id",
    "-acme",
    "--tag=acme",
    "acme\n",
    "acme:v1\nFROM x",
    "ac'me",
    'ac"me',
    "../acme",
    "/acme",
    "acme//x",
    "acme@sha256:0",
    "äcme",
    "acme:é",
    "a" * 300,
    "acme:" + "1" * 129,
]


@pytest.mark.parametrize("tag", GOOD)
def test_a_name_that_registries_take_is_taken(tag):
    check_tag(tag)


@pytest.mark.parametrize("tag", BAD, ids=ascii)
def test_any_other_is_refused_and_the_form_is_said(tag):
    with pytest.raises(BadTag, match=r"is no name for an image. It is \[REGISTRY/\]NAME\[:TAG\]"):
        check_tag(tag)
