"""Server-sent events are read as the HTML standard says, however the bytes are cut."""

import pytest

from srv.client.events import events

STREAM = b': hello\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata:two\ndata: lines\n\ndata: \n\ndata: cut off'
READ = [b'{"a": 1}', b"two\nlines", b""]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_their_bytes_are_cut(size):
    assert [*events(STREAM[at : at + size] for at in range(0, len(STREAM), size))] == READ


def test_the_mark_of_utf_8_may_stand_before_the_first_event():
    assert [*events([b"\xef\xbb\xbfdata: a\n\n"])] == [b"a"]
