from srv.cancellation import NOBODY, Caller


def test_who_works_for_a_caller_hears_when_they_leave():
    caller, heard = Caller(), []
    caller.on_cancel(lambda: heard.append("stop"))

    caller.leave()

    assert caller.left
    assert heard == ["stop"]


def test_work_that_begins_after_the_caller_has_left_is_stopped_at_once():
    caller, heard = Caller(), []
    caller.leave()

    caller.on_cancel(lambda: heard.append("stop"))

    assert heard == ["stop"]


def test_work_that_has_ended_is_not_stopped():
    caller, heard = Caller(), []
    caller.on_cancel(lambda: heard.append("stop"))
    caller.on_cancel(None)

    caller.leave()

    assert heard == []


def test_nobody_keeps_nothing_for_others_to_stop():
    NOBODY.on_cancel(list)

    assert NOBODY._callback is None
