import sys

import pytest

from srv.settings.documents import dotted, read_document
from srv.settings.errors import UnreadableSettings

# Python 3.13 names the comma itself.
TRAILING_COMMA = (
    "2, column 8: this is not JSON: illegal trailing comma before end of object"
    if sys.version_info >= (3, 13)
    else "3, column 1: this is not JSON: expecting property name enclosed in double quotes"
)


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("{", "FILE, line 1, column 2: this is not JSON: expecting property name enclosed in double quotes. Mend the file."),
        ('{\n "a": 1,\n}', f"FILE, line {TRAILING_COMMA}. Mend the file."),
        ('{\n "a": 1\n "b": 2\n}', "FILE, line 3, column 2: this is not JSON: expecting ',' delimiter. Mend the file."),
        ("", "FILE, line 1, column 1: this is not JSON: expecting value. Mend the file."),
        ("// no\n{}", "FILE, line 1, column 1: this is not JSON: expecting value. Mend the file."),
        ("[]", 'FILE: this is a list, not a JSON object. Write {"key": value, …}.'),
        ("null", 'FILE: this is null, not a JSON object. Write {"key": value, …}.'),
        ('"a"', 'FILE: this is a text, not a JSON object. Write {"key": value, …}.'),
        ("true", 'FILE: this is a boolean, not a JSON object. Write {"key": value, …}.'),
        ("1.5", 'FILE: this is a number, not a JSON object. Write {"key": value, …}.'),
        ('{"a": 1, "a": 2}', "FILE: the key 'a' is there twice. Keep one of the two."),
        ('{"a": {"b": 1, "b": 1}}', "FILE: the key 'b' is there twice. Keep one of the two."),
        ('{"a": NaN}', "FILE: NaN is not JSON. Write a number, or null."),
        ('{"a": -Infinity}', "FILE: -Infinity is not JSON. Write a number, or null."),
        ("[" * 100_000, "FILE: the file is nested too deeply or has a number too long. Mend it."),
        ('{"a": ' + "1" * 5000 + "}", "FILE: the file is nested too deeply or has a number too long. Mend it."),
        (b'{"a":\n "\xff"}', "FILE, line 2: this is not UTF-8 text. Save the file as UTF-8."),
    ],
    ids=lambda value: repr(value[:24]),
)  # fmt: skip
def test_a_file_that_is_no_json_object_is_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "settings.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableSettings) as caught:
        read_document(file)
    assert str(caught.value) == sentence.replace("FILE", str(file))


def test_a_file_that_is_not_there_is_no_document(tmp_path):
    assert read_document(tmp_path / "settings.json") is None


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path):
    (tmp_path / "settings.json").mkdir()
    with pytest.raises(
        UnreadableSettings, match=r"settings.json: the file cannot be read \(is a directory\)\. Make it"
    ):
        read_document(tmp_path / "settings.json")


def test_a_link_to_nothing_is_not_taken_for_no_file(tmp_path):
    (tmp_path / "settings.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(UnreadableSettings, match="a link to a file that is not there"):
        read_document(tmp_path / "settings.json")


def test_a_byte_order_mark_is_read_over(tmp_path):
    (tmp_path / "settings.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_document(tmp_path / "settings.json").values == {"a": 1}


def test_a_sentence_names_the_line_where_the_file_has_the_key_once(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{\n "a": 1,\n "b": {\n  "a": 2,\n  "c": 3}}')
    document = read_document(file)
    assert document.subject(("b", "c")) == f"{file}, line 5: 'b.c'"
    assert document.subject(("a",)) == f"{file}: 'a'"


def test_a_path_is_written_as_people_write_it():
    assert dotted(("inputs", 0, "shape", 1)) == "inputs[0].shape[1]"
