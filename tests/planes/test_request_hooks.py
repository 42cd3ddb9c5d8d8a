import asyncio
import threading

import pytest

from srv.hooks import HookFailed
from srv.messages import InferenceRequest
from srv.model_settings import ModelSettings
from srv.models.registry import ModelVersion
from srv.planes.request_hooks import RequestHooks, timings_of


def raised_in_a_thread(call):
    """Return what a call raises in a thread of a worker's: in the main thread a KeyboardInterrupt is a signal's."""
    raised = []

    def run():
        try:
            call()
        except BaseException as error:  # noqa: BLE001  it is looked at
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


@pytest.mark.parametrize(
    "error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, BaseException]
)
def test_whatever_a_hook_raises_is_told_as_the_plugins_failure(error):
    def hook(*_):
        raise error

    hooks = RequestHooks([("strange", hook)], [("strange", hook)])
    model, request = ModelVersion(ModelSettings(name="m")), InferenceRequest([])
    for call in (
        lambda: hooks.ask_before(model, request),
        lambda: hooks.tell_after(model, request, None, None, timings_of(0.0, 0.0)),
    ):
        (failure,) = raised_in_a_thread(call)
        assert isinstance(failure, HookFailed)
        assert failure.plugin == "strange"
