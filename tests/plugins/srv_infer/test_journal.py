"""The journal tells how far a run has come, whatever the last kill left of its last line."""

import pytest

from srv.errors import SrvError
from srv_infer.journal import Journal, Place

RUN = {"model": "m", "version": None, "input": "1:a", "format": "csv"}


def place_in(path):
    journal = Journal.resumed(path, RUN)
    journal.close()
    return journal.place


@pytest.mark.parametrize("half", [b"", b"[3", b"[30,20,0,30,0]"], ids=["nothing", "a bit", "all but the line break"])
def test_a_run_goes_on_behind_its_last_whole_line(tmp_path, half):
    path = tmp_path / "out.journal"
    journal = Journal.begun(path, RUN)
    journal.note(Place(10, 100, 0, 10, 0))
    journal.note(Place(20, 200, 5, 19, 1))
    journal.close()
    with path.open("ab") as file:
        file.write(half)

    resumed = Journal.resumed(path, RUN)

    assert resumed.place == Place(20, 200, 5, 19, 1)
    resumed.note(Place(30, 300, 5, 29, 1))
    resumed.close()
    assert place_in(path) == Place(30, 300, 5, 29, 1)


def test_a_run_that_wrote_nothing_yet_begins_at_the_first_row(tmp_path):
    path = tmp_path / "out.journal"
    Journal.begun(path, RUN).close()
    assert place_in(path) == Place()


def test_the_journal_of_another_run_is_refused_and_says_what_differs(tmp_path):
    path = tmp_path / "out.journal"
    Journal.begun(path, RUN).close()
    with pytest.raises(SrvError, match="format, input differ"):
        Journal.resumed(path, {**RUN, "input": "2:b", "format": "jsonl"})


def test_without_a_journal_there_is_nothing_to_go_on_with(tmp_path):
    with pytest.raises(SrvError, match="nothing to go on with"):
        Journal.resumed(tmp_path / "none", RUN)
