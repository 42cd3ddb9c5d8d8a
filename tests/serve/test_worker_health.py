import queue
import threading

import pytest
from servers import eventually

from srv.serve import worker_health

CODE = """
def predict(handed):
    return handed.get()  # the line at which it hangs
"""


@pytest.mark.parametrize(
    ("module", "place"),
    [("srv.model.m.models", "models.py:3 in predict"), ("strange", "queue.py:")],
    ids=["model", "library"],
)
def test_a_request_that_hangs_in_a_library_is_found_at_the_models_own_line(module, place):
    names = {"__name__": module}
    exec(compile(CODE, "models.py", "exec"), names)
    handed = queue.Queue()
    thread = threading.Thread(target=names["predict"], args=[handed])
    thread.start()
    try:
        eventually(lambda: place in worker_health._place_of(thread.ident, "m"))
    finally:
        handed.put(None)
        thread.join()
