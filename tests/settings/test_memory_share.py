"""How much memory requests in flight may take where the machine or a container has little."""

import json
import sys

import pytest
from cgroups import Tree

from srv.cli import cli
from srv.settings import memory_share, read_server_settings
from srv.settings.memory_share import inflight_share

MIB = 2**20
GIB = 2**30


@pytest.fixture
def machine(monkeypatch):
    """A machine with so many bytes of memory."""

    def make(size):
        monkeypatch.setattr(memory_share.os, "sysconf", {"SC_PHYS_PAGES": size // 4096, "SC_PAGE_SIZE": 4096}.get)

    return make


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A container with so many bytes of memory, in which settings are read."""

    def make(size):
        root = Tree(tmp_path / "tree").v2("/app.slice").write("/app.slice", "memory.max", size).root
        monkeypatch.setattr("srv.settings.in_force.inflight_share", lambda workers: inflight_share(workers, root))

    return make


def test_the_least_of_machine_and_container_counts(tmp_path, machine):
    machine(4 * GIB)
    tree = Tree(tmp_path).v2("/app.slice").write("/app.slice", "memory.max", 300 * MIB)
    assert inflight_share(1, tree.root) == (
        75 * MIB,
        "default: a quarter of the 314572800 bytes of memory in /sys/fs/cgroup/app.slice/memory.max",
    )
    tree.write("/app.slice", "memory.max", 8 * GIB)
    assert inflight_share(1, tree.root) == (
        GIB,
        "default: a quarter of the 4294967296 bytes of memory in /proc/meminfo",
    )


def test_workers_share_it_and_some_is_always_left(tmp_path, machine):
    machine(GIB)
    share = inflight_share(4, tmp_path)
    assert share.size == 64 * MIB
    assert share.origin.endswith(", for 4 workers")
    assert inflight_share(1000, tmp_path).size == 16 * MIB


def test_where_nobody_knows_the_memory_there_is_no_share(tmp_path, monkeypatch):
    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(memory_share.os, "sysconf", unknown)
    assert inflight_share(1, tmp_path) is None


def test_the_default_is_bounded_and_a_word_of_the_users_is_not(tmp_path, container, machine):
    machine(64 * GIB)
    container(300 * MIB)
    found = read_server_settings(tmp_path, environ={})
    assert found.max_inflight_bytes == 75 * MIB
    assert "a quarter of the 314572800 bytes" in found.origin("max_inflight_bytes")
    said = read_server_settings(tmp_path, environ={"SRV_MAX_INFLIGHT_BYTES": "1000"})
    assert (said.max_inflight_bytes, said.origin("max_inflight_bytes")) == (1000, "SRV_MAX_INFLIGHT_BYTES")
    container(64 * GIB)
    roomy = read_server_settings(tmp_path, environ={})
    assert (roomy.max_inflight_bytes, roomy.origin("max_inflight_bytes")) == (2 * GIB, "default")


def test_srv_settings_says_where_it_came_from(tmp_path, container, machine, capsys, monkeypatch):
    machine(64 * GIB)
    container(400 * MIB)
    monkeypatch.setattr(sys, "argv", ["srv"])
    cli.main(["settings", str(tmp_path), "--json"], standalone_mode=False)
    row = json.loads(capsys.readouterr().out)["max_inflight_bytes"]
    assert row == {
        "value": 100 * MIB,
        "origin": "default: a quarter of the 419430400 bytes of memory in /sys/fs/cgroup/app.slice/memory.max",
    }
