import threading
from concurrent.futures import ThreadPoolExecutor

from srv.busy_threads import BusyThreads
from srv.cancellation import Caller


def test_a_thread_is_busy_from_the_beginning_of_its_request_to_the_end():
    busy, caller, entered, leaves = BusyThreads(), Caller(), threading.Event(), threading.Event()

    def run():
        busy.begin(caller)
        entered.set()
        leaves.wait(10)
        busy.end()
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        runs = pool.submit(run)
        entered.wait(10)
        seen = [*busy]
        leaves.set()
        assert seen == [(runs.result(), caller)]
    assert [*busy] == []
