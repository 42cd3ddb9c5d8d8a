"""What srv-mlserver costs servers whose models are none of MLServer's, and which classes it leaves alone."""

import subprocess
import sys

from srv_mlserver.hooks import Hooks
from srv_mlserver.wire import field


def test_the_hooks_import_neither_mlserver_nor_fastapi_nor_grpc():
    code = "import sys, srv_mlserver.hooks; print({'mlserver', 'fastapi', 'grpc'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_class_that_is_none_of_mlservers_is_left_to_others():
    import mlserver

    assert mlserver.MLModel is not None
    assert Hooks().srv_adopt(dict, None) is None


def test_a_field_of_a_message_is_found_behind_others_and_a_message_that_is_cut_off_has_none():
    message = b"\x08\x96\x01" + b"\x15\0\0\0\0" + b"\x19" + 8 * b"\0" + b"\x22\x03abc"

    assert field(message, 4) == b"abc"
    assert field(message, 3) is field(b"", 1) is field(b"\xff", 1) is field(b"\x0b", 1) is None
    assert field(message[:-2], 4) == b"a"
