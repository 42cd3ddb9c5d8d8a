"""Binding: what address a listener has, and what is said where there is none."""

import socket
import stat

import pytest

from srv.serve.listening import (
    CannotListen,
    HostUnknown,
    Listener,
    PortTaken,
    SocketTaken,
    SocketUnusable,
    listen,
)


@pytest.fixture
def bound():
    listeners = []

    def listen_on(host, port=0) -> Listener:
        listeners.append(listen(host, port, backlog=5))
        return listeners[-1]

    yield listen_on
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "host, shown",
    [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("0.0.0.0", "0.0.0.0"), ("::1", "[::1]"), ("::", "[::]")],
)
def test_an_address_is_told_with_the_port_that_was_free(bound, host, shown):
    listener = bound(host)
    port = listener.socket.getsockname()[1]
    assert listener.url == f"http://{shown}:{port}"
    socket.create_connection((host if host not in ("0.0.0.0", "::") else "127.0.0.1", port), timeout=5).close()


def test_a_port_is_not_shared(bound):
    port = bound("127.0.0.1").socket.getsockname()[1]
    with pytest.raises(PortTaken) as raised:
        bound("127.0.0.1", port)
    assert str(raised.value) == (
        f"Port {port} on 127.0.0.1 is taken by another process. Stop that one, or choose another port with --http-port "
        "(--http-port 0 takes a free one)."
    )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"], ids=["a name", "an address"])
def test_a_host_that_is_not_here_is_named(bound, host):
    with pytest.raises(HostUnknown, match=f"srv cannot listen on host '{host}': "):
        bound(host)


def test_a_unix_socket_goes_when_its_listener_does(bound, short_path):
    path = short_path / "s"
    listener = bound(f"unix:{path}")
    assert listener.url == f"unix:{path}"
    assert stat.S_ISSOCK(path.stat().st_mode)
    listener.close()
    assert not path.exists()


def test_a_unix_socket_on_which_somebody_listens_is_left_to_them(bound, short_path):
    bound(f"unix:{short_path}/s")
    with pytest.raises(SocketTaken, match="Another process listens on unix:"):
        bound(f"unix:{short_path}/s")


def test_a_unix_socket_that_nobody_listens_on_is_taken_over(bound, short_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(short_path / "s"))
    left.close()
    assert bound(f"unix:{short_path}/s").url == f"unix:{short_path}/s"


def test_a_file_that_another_server_has_put_there_meanwhile_stays(bound, short_path):
    path = short_path / "s"
    first = bound(f"unix:{path}")
    path.rename(short_path / "away")
    bound(f"unix:{path}")
    first.close()
    assert path.exists()


@pytest.mark.parametrize(
    "name, why",
    [
        ("file", "something that is no socket stands there"),
        ("none/s", "No such file or directory"),
        (
            "x" * 200,
            r"the path has \d{3} bytes, and that of a socket has 10\d at most\. Choose another path with --host",
        ),
    ],
    ids=["a file", "no folder", "too long"],
)
def test_a_path_that_cannot_be_a_socket_says_why_and_stays(bound, short_path, name, why):
    (short_path / "file").write_text("mine")
    with pytest.raises(SocketUnusable, match=why):
        bound(f"unix:{short_path}/{name}")
    assert (short_path / "file").read_text() == "mine"


def test_every_refusal_is_a_sentence_about_listening():
    assert issubclass(PortTaken, CannotListen)
    assert issubclass(SocketUnusable, CannotListen)
