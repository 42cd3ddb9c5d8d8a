"""What cgroups allow, of both versions: the least of the process's own group and of all above it."""

from pathlib import Path

import pytest
from cgroups import Tree

from srv.cgroups import cpu_quota, memory_limit

MIB = 2**20


def test_v2_in_a_container_stands_at_the_root(tmp_path):
    tree = Tree(tmp_path).v2("/").write("/", "cpu.max", "150000 100000").write("/", "memory.max", 300 * MIB)
    assert cpu_quota(tree.root) == 1.5
    assert memory_limit(tree.root) == (300 * MIB, Path("/sys/fs/cgroup/memory.max"))


def test_v2_of_systemd_counts_the_least_of_slice_and_service(tmp_path):
    service = "/system.slice/srv.service"
    tree = Tree(tmp_path).v2(service)
    tree.write(service, "cpu.max", "400000 100000").write("/system.slice", "cpu.max", "200000 100000")
    tree.write(service, "memory.max", "max").write("/system.slice", "memory.max", 512 * MIB)
    assert cpu_quota(tree.root) == 2
    assert memory_limit(tree.root) == (512 * MIB, Path("/sys/fs/cgroup/system.slice/memory.max"))
    tree.write(service, "cpu.max", "50000 100000").write(service, "memory.max", 256 * MIB)
    assert cpu_quota(tree.root) == 0.5
    assert memory_limit(tree.root).size == 256 * MIB


def test_v1_has_a_hierarchy_for_each_kind(tmp_path):
    tree = Tree(tmp_path).v1("cpu,cpuacct", "/batch/job").v1("memory", "/batch")
    tree.write("/batch/job", "cpu.cfs_quota_us", 300000, controllers="cpu,cpuacct")
    tree.write("/batch/job", "cpu.cfs_period_us", 100000, controllers="cpu,cpuacct")
    tree.write("/", "cpu.cfs_quota_us", -1, controllers="cpu,cpuacct")
    tree.write("/", "cpu.cfs_period_us", 100000, controllers="cpu,cpuacct")
    tree.write("/batch", "memory.limit_in_bytes", 300 * MIB, controllers="memory")
    tree.write("/", "memory.limit_in_bytes", 9223372036854771712, controllers="memory")
    assert cpu_quota(tree.root) == 3
    assert memory_limit(tree.root).size == 300 * MIB


def test_v1_of_docker_names_a_group_that_stands_at_the_mount_point(tmp_path):
    docker = "/docker/0123456789ab"
    tree = Tree(tmp_path).v1("memory", docker, mounted=docker)
    tree.write("/", "memory.limit_in_bytes", 64 * MIB, controllers="memory")
    assert memory_limit(tree.root).size == 64 * MIB


@pytest.mark.parametrize("group, mounted", [("/", "/../outside"), ("/../other", "/"), ("/kubepods/pod", "/docker/x")])
def test_a_group_that_is_not_below_what_is_mounted_is_read_at_the_mount_point(tmp_path, group, mounted):
    tree = Tree(tmp_path).v2(group, mounted=mounted).write("/", "memory.max", 64 * MIB)
    assert memory_limit(tree.root).size == 64 * MIB


def test_both_versions_beside_each_other_count_together(tmp_path):
    tree = Tree(tmp_path).v1("memory", "/job").v2("/", point="/sys/fs/cgroup/unified")
    tree.write("/job", "memory.limit_in_bytes", 64 * MIB, controllers="memory").write("/", "memory.max", 32 * MIB)
    assert memory_limit(tree.root).size == 32 * MIB


def test_a_mount_point_may_have_blanks(tmp_path):
    tree = Tree(tmp_path).v2("/job", point="/a mount").write("/job", "memory.max", 64 * MIB)
    assert memory_limit(tree.root) == (64 * MIB, Path("/a mount/job/memory.max"))


@pytest.mark.parametrize("text", ["max", "max 100000", "", "rubbish", "0x10", "-1"])
def test_what_is_no_limit_is_none(tmp_path, text):
    tree = Tree(tmp_path).v2("/job").write("/job", "memory.max", "max").write("/job", "cpu.max", text)
    assert cpu_quota(tree.root) is None
    assert memory_limit(tree.root) is None


def test_another_system_has_no_limits(tmp_path):
    assert cpu_quota(tmp_path) is None
    assert memory_limit(tmp_path) is None
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("rubbish\n0::/a\n")
    (tmp_path / "proc/self/mountinfo").write_text("rubbish\n\n1 2 3\n")
    assert memory_limit(tmp_path) is None


def test_this_machine_allows_this_process_something():
    quota, limit = cpu_quota(), memory_limit()
    assert quota is None or quota > 0
    assert limit is None or (limit.size > MIB and int(limit.file.read_text()) == limit.size)
