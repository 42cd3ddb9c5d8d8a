import threading
import time

import numpy as np
import pytest

from srv.channels.answering import answer_calls
from srv.channels.calls import Calls
from srv.channels.carried_errors import error_head, error_of
from srv.channels.channel import pair
from srv.channels.errors import ChannelClosed
from srv.channels.frames import FrameKind
from srv.errors import DeadlinePassed, InvalidInput, ModelError, QueueFull, SrvError, TooLarge, Unavailable, code_of
from srv.tensors import Tensor
from srv.wire.errors import OutOfRange

SOON = 30.0


def soon() -> float:
    return time.monotonic() + SOON


@pytest.fixture
def answered():
    """Make calls that a function answers: it gets the channel and the frame."""
    ends = []

    def answered_by(function, **more):
        mine, theirs = pair()
        threading.Thread(target=answer_calls, args=(theirs, lambda frame: function(theirs, frame)), daemon=True).start()
        ends.append(mine)
        return Calls(mine, **more)

    yield answered_by
    for each in ends:
        each.close()


def echo(channel, frame):
    channel.send(FrameKind.RESPONSE, frame.call, frame.head, frame.tensors)


def test_a_call_gets_its_answer(answered):
    calls = answered(echo)
    with calls.open(FrameKind.REQUEST, {"id": "a"}, [Tensor("x", np.arange(3))]) as call:
        frame = call.receive(soon())
    assert (frame.kind, frame.head, frame.tensors[0].data.tolist()) == (FrameKind.RESPONSE, {"id": "a"}, [0, 1, 2])
    assert calls.in_flight == 0


def test_calls_of_many_threads_get_each_their_own_answer(answered):
    calls = answered(echo)
    wrong = []

    def ask(thread: int):
        for number in range(50):
            value = thread * 1000 + number
            size = 20_000 if number % 5 == 0 else 3
            with calls.open(FrameKind.REQUEST, value, [Tensor("x", np.full(size, value))]) as call:
                frame = call.receive(soon())
            if frame is None or frame.head != value or not (frame.tensors[0].data == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert (wrong, calls.in_flight) == ([], 0)


def test_a_slow_call_holds_up_no_other(answered):
    released = threading.Event()

    def answer(channel, frame):
        if frame.head == "slow":
            released.wait(SOON)
        echo(channel, frame)

    calls = answered(answer)
    slow = calls.open(FrameKind.REQUEST, "slow")
    waiting = threading.Thread(target=lambda: got.append(slow.receive(soon()).head))
    got: list[str] = []
    waiting.start()
    for number in range(20):
        with calls.open(FrameKind.REQUEST, number) as call:
            assert call.receive(soon()).head == number
    assert got == []
    released.set()
    waiting.join(SOON)
    assert got == ["slow"]


def test_a_call_that_waits_reads_on_when_the_one_that_read_has_its_deadline(answered):
    released = threading.Event()

    def answer(channel, frame):
        if frame.head == "late":
            released.wait(SOON)
        if frame.head != "never":
            echo(channel, frame)

    calls = answered(answer)
    got: list[object] = []
    first = calls.open(FrameKind.REQUEST, "never")
    leading = threading.Thread(target=lambda: got.append(first.receive(time.monotonic() + 0.2)))
    leading.start()
    with calls.open(FrameKind.REQUEST, "late") as call:
        threading.Timer(0.4, released.set).start()
        assert call.receive(soon()).head == "late"
    leading.join(SOON)
    assert got == [None]


def test_a_call_whose_thread_sleeps_ends_at_its_deadline(answered):
    calls = answered(lambda _channel, _frame: None)
    first = calls.open(FrameKind.REQUEST)

    def lead():
        with pytest.raises(ChannelClosed):
            first.receive()

    leading = threading.Thread(target=lead)
    leading.start()
    while not calls._read:
        time.sleep(0.001)
    with calls.open(FrameKind.REQUEST) as call:
        assert call.receive(time.monotonic() + 0.02) is None
    calls.channel.close()
    leading.join(SOON)


def test_all_calls_fail_at_once_when_the_process_ends():
    mine, theirs = pair()
    calls = Calls(mine)
    told = []

    def ask():
        try:
            with calls.open(FrameKind.REQUEST) as call:
                call.receive(soon())
        except ChannelClosed as error:
            told.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in threads:
        theirs.receive(soon())
    began = time.monotonic()
    theirs.close()
    for thread in threads:
        thread.join(SOON)
    assert len({*map(id, told)}) == 20
    assert time.monotonic() - began < 10


def test_an_answer_that_comes_too_late_is_passed_over(answered):
    released = threading.Event()

    def answer(channel, frame):
        if frame.head == "late":
            released.wait(SOON)
        echo(channel, frame)

    calls = answered(answer)
    with calls.open(FrameKind.REQUEST, "late", [Tensor("x", np.zeros(100_000))]) as call:
        assert call.receive(time.monotonic() + 0.01) is None
    released.set()
    with calls.open(FrameKind.REQUEST, "next") as call:
        assert call.receive(soon()).head == "next"


def test_late_answers_are_read_when_nobody_calls():
    mine, theirs = pair()
    calls = Calls(mine)
    call = calls.open(FrameKind.REQUEST)
    theirs.send(FrameKind.RESPONSE, theirs.receive(soon()).call, None, [Tensor("x", np.zeros(100_000))])
    calls.end(call)
    segment = theirs._outgoing._segments[0]
    assert theirs._outgoing._flags[segment.slot] == 1
    calls.drain()
    assert theirs._outgoing._flags[segment.slot] == 0


def test_streams_of_several_calls_come_in_order_beside_frames_of_no_call(answered):
    def answer(channel, frame):
        if frame.kind == FrameKind.STREAM:
            channel.send(FrameKind.LOG, 0, f"stream {frame.head}")
            for number in range(20):
                channel.send(FrameKind.ITEM, frame.call, [frame.head, number])
            channel.send(FrameKind.END, frame.call)

    told = []
    calls = answered(answer, other=lambda frame: told.append(frame.head))
    got: dict[int, list[object]] = {}

    def read(name: int):
        with calls.open(FrameKind.STREAM, name) as call:
            items = []
            while (frame := call.receive(soon())).kind != FrameKind.END:
                items.append(frame.head)
            got[name] = items

    threads = [threading.Thread(target=read, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert got == {name: [[name, number] for number in range(20)] for name in range(6)}
    assert sorted(told) == [f"stream {name}" for name in range(6)]


def test_a_cancel_is_read_while_all_other_threads_are_busy(answered):
    cancelled = {number: threading.Event() for number in range(1, 9)}

    def answer(channel, frame):
        if frame.kind == FrameKind.CANCEL:
            cancelled[frame.call].set()
        else:
            channel.send(FrameKind.RESPONSE, frame.call, cancelled[frame.call].wait(SOON))

    calls = answered(answer)
    opened = [calls.open(FrameKind.REQUEST) for _ in cancelled]
    for call in opened:
        call.send(FrameKind.CANCEL)
    assert [call.receive(soon()).head for call in opened] == [True] * 8


def test_a_handler_that_raises_leaves_the_others(answered, caplog):
    def answer(channel, frame):
        if frame.head == "bad":
            raise ValueError("a fault")
        echo(channel, frame)

    calls = answered(answer)
    bad = calls.open(FrameKind.REQUEST, "bad")
    with calls.open(FrameKind.REQUEST, "good") as call:
        assert call.receive(soon()).head == "good"
    assert bad.receive(time.monotonic() + 0.01) is None
    assert "could not be dealt with" in caplog.text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("x: no."), InvalidInput),
        (OutOfRange("x", 7, "INT8"), InvalidInput),
        (QueueFull("m", 3), QueueFull),
        (TooLarge(5), TooLarge),
        (DeadlinePassed(2.0), DeadlinePassed),
        (ModelError("it failed."), ModelError),
        (Unavailable(), Unavailable),
        (SrvError("inside."), SrvError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_an_error_arrives_with_its_code_its_class_and_its_sentence(error, kind):
    mine, theirs = pair()
    mine.send(FrameKind.ERROR, 1, error_head(error))
    arrived = error_of(theirs.receive(soon()).head)
    assert (type(arrived), code_of(arrived), str(arrived)) == (kind, code_of(error), str(error))


@pytest.mark.parametrize("head", [None, [], {}, {"code": "NEWS"}, {"code": 3, "kind": {}, "message": []}])
def test_an_error_that_nobody_knows_is_one_of_the_model(head):
    assert (type(error_of(head)), str(error_of(head))) == (ModelError, ModelError.unsaid)


def test_threads_that_are_needed_no_longer_end(answered, monkeypatch):
    monkeypatch.setattr("srv.channels.answering._LOOK_SECONDS", 0.05)
    gate = threading.Barrier(9)

    def answer(channel, frame):
        if frame.head == "together":
            gate.wait(SOON)
        echo(channel, frame)

    def readers() -> int:
        return sum(thread.name == "calls" for thread in threading.enumerate())

    before = readers()
    calls = answered(answer)
    together = [calls.open(FrameKind.REQUEST, "together") for _ in range(8)]
    gate.wait(SOON)
    assert [call.receive(soon()).head for call in together] == ["together"] * 8
    assert readers() - before >= 8
    until = soon()
    while readers() - before > 3 and time.monotonic() < until:
        with calls.open(FrameKind.REQUEST, "alone") as call:
            assert call.receive(soon()).head == "alone"
    assert readers() - before <= 3
