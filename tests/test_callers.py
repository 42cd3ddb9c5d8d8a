from srv.callers import NOBODY, Caller


def test_who_works_for_a_caller_hears_when_they_leave():
    caller, heard = Caller(), []
    caller.stops(lambda: heard.append("stop"))

    caller.leave()

    assert caller.left
    assert heard == ["stop"]


def test_work_that_begins_after_the_caller_has_left_is_stopped_at_once():
    caller, heard = Caller(), []
    caller.leave()

    caller.stops(lambda: heard.append("stop"))

    assert heard == ["stop"]


def test_work_that_has_ended_is_not_stopped():
    caller, heard = Caller(), []
    caller.stops(lambda: heard.append("stop"))
    caller.stops(None)

    caller.leave()

    assert heard == []


def test_nobody_keeps_nothing_for_others_to_stop():
    NOBODY.stops(list)

    assert NOBODY._stop is None
