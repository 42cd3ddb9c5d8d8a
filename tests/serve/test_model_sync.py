"""Workers that tell each other, over real sockets in one process: who is told, who is named, who is skipped."""

import threading

import pytest
from servers import eventually

from srv.errors import DeadlinePassed, LoadFailed, UnknownModel
from srv.serve.control_socket import ControlThread, ask
from srv.serve.model_sync import CannotFollow, Follower, OtherWorkers
from srv.serve.run_directory import RunDirectory, State

LOAD = {"do": "load", "name": "iris"}
UNLOAD = {"do": "unload", "name": "iris"}
ASKING = 1


@pytest.fixture
def directory():
    made = RunDirectory()
    made.coming(lambda _: (("iris", None), ("wine", "2")))
    made.arrive()
    yield made
    made.remove()


@pytest.fixture
def worker(directory):
    made = []

    def register(pid, answer):
        made.append(ControlThread(directory.register(pid), answer))
        made[-1].start()

    yield register
    for control in made:
        control.close()


@pytest.fixture
def others(directory):
    done = []

    def make(load_timeout=10):
        asking = OtherWorkers(directory, ASKING, load_timeout=load_timeout, done=lambda *what: done.append(what))
        asking.heard = done
        return asking

    return make


def changed(asking, versions, order):
    """Change the versions of a model in the state, and tell the other workers."""
    return asking.tell(order, asking.write(order["name"], versions))


def test_a_change_is_the_state_before_anyone_is_told_and_not_told_to_the_worker_itself(directory, worker, others):
    told = []
    worker(ASKING, lambda question: told.append("itself") or {})
    worker(2, lambda question: told.append((directory.state(), question)) or {"done": True})

    asking = others()
    assert changed(asking, ["1", "2"], LOAD) == []

    state = State(2, (("wine", "2"), ("iris", "1"), ("iris", "2")))
    assert told == [(state, {"ask": "follow", "order": LOAD, "generation": 2})]
    assert asking.heard == [("iris", 2)]


def test_what_is_unloaded_is_remembered_until_it_is_loaded(directory, others):
    changed(others(), [], UNLOAD)
    assert directory.state() == State(2, (("wine", "2"),), ("iris",))
    changed(others(), [None], LOAD)
    assert directory.state() == State(3, (("wine", "2"), ("iris", None)))


def test_a_cohort_that_is_coming_is_changed_too(directory, others):
    directory.coming(lambda _: (("iris", None), ("fresh", None)))
    changed(others(), [], UNLOAD)
    assert directory.latest() == State(3, (("fresh", None),), ("iris",))
    directory.arrive()
    assert directory.state() == directory.latest() == State(3, (("fresh", None),), ("iris",))


def test_all_are_told_at_once_and_those_that_cannot_follow_are_named(worker, others):
    together = threading.Barrier(3, timeout=10)

    def answer(reason):
        def follow(question):
            together.wait()
            return reason

        return follow

    worker(2, answer({"failed": "no memory"}))
    worker(3, answer({"done": True}))
    worker(4, answer({"failed": "Not today."}))

    assert changed(others(), [], LOAD) == ["Worker 2: no memory.", "Worker 4: Not today."]


def test_the_dead_and_those_that_die_meanwhile_are_skipped(directory, worker, others):
    directory.register(2).close()

    def die(question):
        raise OSError

    worker(3, die)

    assert changed(others(), [], LOAD) == []


def test_one_that_takes_too_long_is_a_deadline_or_named_beside_the_others(worker, others):
    released = threading.Event()
    worker(2, lambda question: {"done": released.wait(10)})
    with pytest.raises(DeadlinePassed):
        changed(others(load_timeout=0.2), [], LOAD)
    worker(3, lambda question: {"failed": "no memory"})
    told = changed(others(load_timeout=2), [], LOAD)
    released.set()
    assert told == ["Worker 3: no memory.", "Worker 2: it did not answer within 2 s."]


def test_whoever_wants_to_change_the_same_model_waits_and_gives_up_in_time(directory, others):
    with (
        others().changing("iris"),
        pytest.raises(DeadlinePassed, match=r"within its 0\.1 seconds"),
        others(load_timeout=0.1).changing("iris"),
    ):
        pytest.fail("two at once")
    with others(load_timeout=0.1).changing("iris"):
        pass  # and nobody else waits for a change


def test_another_model_is_changed_meanwhile_and_the_same_one_where_it_is_let_go(others):
    with others().changing("iris") as release, others(load_timeout=0.1).changing("wine"):
        release()
        with others(load_timeout=0.1).changing("iris"):
            pass


def test_other_questions_are_answered_while_one_takes_its_time(directory, worker):
    released = threading.Event()
    worker(2, lambda question: {"waited": released.wait(10)} if question == "slow" else {})
    (path,) = directory.registered().values()
    slow = threading.Thread(target=ask, args=(path, "slow"))
    slow.start()
    assert ask(path, "quick") == {}
    released.set()
    slow.join()


# -- following ---------------------------------------------------------------------------------------------------------


class Plane:
    """A model plane that fails as long as the test says."""

    def __init__(self):
        self.followed = []
        self.error = None
        self.meanwhile = lambda: None

    def follow(self, order, check):
        self.meanwhile()
        if self.error is not None:
            raise self.error
        check()
        self.followed.append((order["do"], order["name"]))


class Ready:
    behind = None


@pytest.fixture
def plane():
    return Plane()


@pytest.fixture
def ready():
    return Ready()


@pytest.fixture
def follower(plane, ready):
    made = Follower(plane, ready)
    yield made
    made.end()


def test_what_is_heard_before_the_first_load_has_ended_is_done_after_it_and_before_the_worker_is_ready(
    follower, plane, ready
):
    assert follower.hear(LOAD, 4) is None
    assert follower.hear(UNLOAD, 5) is None
    assert plane.followed == []
    assert ready.behind is not None
    assert follower.begin(3, newest=5)
    assert plane.followed == [("unload", "iris")]
    assert ready.behind is None
    assert follower.generation == 5


def test_a_worker_that_heard_nothing_of_a_newer_state_reads_it_again(follower):
    assert not follower.begin(3, newest=4)
    assert follower.begin(4, newest=4)


def test_a_worker_that_cannot_do_what_it_heard_is_not_ready(follower, plane, ready):
    follower.hear(LOAD, 2)
    plane.error = LoadFailed("No.")
    with pytest.raises(CannotFollow, match=r"No\."):
        follower.begin(1, newest=2)
    assert ready.behind == "No."
    plane.error = None
    assert follower.begin(2, newest=2)
    assert ready.behind is None


def test_an_order_is_followed_at_once_by_a_worker_that_serves(follower, plane, ready):
    follower.begin(1, newest=1)
    assert follower.hear(LOAD, 2) is None
    assert plane.followed == [("load", "iris")]
    assert (follower.generation, ready.behind) == (2, None)


@pytest.mark.parametrize(
    "error, reason",
    [(UnknownModel("iris", []), "No model is called 'iris'."), (ValueError("a bug"), "ValueError: a bug.")],
)
def test_one_that_cannot_follow_is_unready_with_the_reason_and_tries_again(
    follower, plane, ready, monkeypatch, error, reason
):
    monkeypatch.setattr("srv.serve.model_sync._FIRST_WAIT", 0.01)
    again = threading.Event()
    follower.begin(1, newest=1)
    plane.error = error
    assert follower.hear(LOAD, 2) == reason
    assert ready.behind == reason
    plane.error = None
    plane.meanwhile = again.set
    assert again.wait(10)
    eventually(lambda: ready.behind is None)
    assert plane.followed == [("load", "iris")]


def test_a_worker_that_stops_meanwhile_fails_no_load_of_the_others(follower, plane, ready):
    follower.begin(1, newest=1)
    plane.meanwhile = follower.end
    plane.error = LoadFailed("It was unloaded before its load had ended.")
    assert follower.hear(LOAD, 2) is None
    assert ready.behind is None


def test_a_later_order_about_the_same_model_makes_good_for_one_that_failed(follower, plane, ready):
    follower.begin(1, newest=1)
    plane.error = LoadFailed("No.")
    follower.hear(LOAD, 2)
    plane.error = None
    follower.hear(UNLOAD, 3)
    assert ready.behind is None
    assert plane.followed == [("unload", "iris")]


def test_what_the_worker_did_itself_makes_good_too(follower, plane, ready):
    follower.begin(1, newest=1)
    plane.error = LoadFailed("No.")
    follower.hear(LOAD, 2)
    follower.hear({"do": "load", "name": "wine"}, 3)
    follower.done("iris", 4)
    follower.done("wine", 5)
    assert ready.behind is None


def test_an_order_that_a_newer_one_has_overtaken_is_not_followed_any_more(follower, plane):
    follower.begin(1, newest=1)
    follower.hear(UNLOAD, 3)
    assert follower.hear(LOAD, 2) is None
    assert plane.followed == [("unload", "iris")]


def test_an_order_that_comes_late_to_a_worker_that_starts_is_not_followed_either(follower, plane, ready):
    follower.hear(UNLOAD, 3)
    follower.hear(LOAD, 2)
    assert follower.begin(1, newest=3)
    assert plane.followed == [("unload", "iris")]
    assert ready.behind is None


def test_an_order_that_a_newer_one_overtakes_while_it_is_followed_changes_nothing(follower, plane, ready):
    follower.begin(1, newest=1)

    def newer():
        plane.meanwhile = lambda: None
        assert follower.hear(UNLOAD, 3) is None

    plane.meanwhile = newer
    assert follower.hear(LOAD, 2) is None
    assert plane.followed == [("unload", "iris")]
    assert ready.behind is None


def test_an_order_that_takes_long_keeps_no_other_from_being_followed(follower, plane):
    follower.begin(1, newest=1)
    entered, released = threading.Event(), threading.Event()

    def hang():
        plane.meanwhile = lambda: None
        entered.set()
        released.wait(10)

    plane.meanwhile = hang
    slow = threading.Thread(target=follower.hear, args=(LOAD, 2))
    slow.start()
    assert entered.wait(10)

    assert follower.hear({"do": "load", "name": "wine"}, 3) is None

    assert plane.followed == [("load", "wine")]
    assert follower.end()
    released.set()
    slow.join()
    assert plane.followed == [("load", "wine"), ("load", "iris")]
    assert not follower.end()
