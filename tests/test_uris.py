"""URIs as they are shown: without secrets, and with the sentence around them whole."""

import pytest

from srv.shown_paths import shortened
from srv.uris import scheme_of, start_of, without_secrets


@pytest.mark.parametrize(
    "said, shown",
    [
        ("Nothing is at https://anna:pw@host/x?sig=abc: ask.", "Nothing is at https://***@host/x?***: ask."),
        ("It asks (s3://bucket/x?token=abc). Ask.", "It asks (s3://bucket/x?***). Ask."),
        ("'https://anna:pw@host/x?sig=a:b.c,d'", "'https://***@host/x?***'"),
    ],
)
def test_a_sentence_keeps_its_marks_after_an_address_without_secrets(said, shown):
    assert without_secrets(said) == shown


@pytest.mark.parametrize(
    "uri, scheme, start",
    [
        ("s3://bucket/x", "s3", "s3://"),
        ("HTTPS://host/x", "https", "https://"),
        ("models:/wine/1", "models", "models:/"),
        ("models:/wine@champion", "models", "models:/"),
        ("runs:/0a1b/model", "runs", "runs:/"),
    ],
)
def test_a_scheme_is_told_also_where_mlflow_writes_one_slash(uri, scheme, start):
    assert scheme_of(uri) == scheme
    assert start_of(scheme) == start


@pytest.mark.parametrize("path", ["models/wine", "/models/wine", "C:/models", "model:/x", "my-models:/x", "", None])
def test_a_path_has_no_scheme(path):
    assert scheme_of(path) is None


def test_a_uri_of_mlflow_is_no_path_of_this_machine():
    said = "It asks for models:/wine/1, runs:/0a/model and /srv/secret/place."

    assert shortened(said) == "It asks for models:/wine/1, runs:/0a/model and …/place."
