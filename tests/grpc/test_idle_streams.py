import threading

from srv.grpc.idle_streams import IdleStreams


class Stream:
    """A call whose client has said some things and then says nothing until it is ended."""

    def __init__(self, *said):
        self.said = iter(said)
        self.waits, self.ended = threading.Event(), threading.Event()

    def __next__(self):
        for word in self.said:
            return word
        self.waits.set()
        self.ended.wait(10)
        return b"too late"

    def end(self):
        self.ended.set()


def test_a_stream_that_waits_is_ended_and_begins_nothing_any_more():
    idle, stream, heard = IdleStreams(), Stream(b"one", b"two"), []
    thread = threading.Thread(target=lambda: [heard.append(said) for said in idle.requests(stream, stream)])
    thread.start()

    assert stream.waits.wait(10)
    idle.end(0.0)
    thread.join(10)

    assert heard == [b"one", b"two"]


def test_a_stream_that_is_being_answered_is_not_ended():
    idle, stream = IdleStreams(), Stream(b"one")

    assert next(idle.requests(stream, stream)) == b"one"
    idle.end(0.0)

    assert not stream.ended.is_set()


def test_a_stream_that_has_just_begun_to_wait_has_its_time():
    idle, stream = IdleStreams(), Stream()
    requests = idle.requests(stream, stream)
    threading.Thread(target=lambda: next(requests), daemon=True).start()

    assert stream.waits.wait(10)
    idle.end(60.0)

    assert not stream.ended.is_set()
    stream.end()
