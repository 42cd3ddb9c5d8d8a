"""URIs as they are shown: without secrets, and with the sentence around them whole."""

import pytest

from srv.uris import without_secrets


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
