import os
import subprocess
import sys
from pathlib import Path

import pytest

from srv.environments.process_limits import NoSuchProcessors, limits
from srv.environments.variables import placement_of, process_environ
from srv.model_settings import ProcessSettings
from srv.placement import Placement

OWN = Path(sys.prefix)


def variables(process, number=0, chosen=None, *, prefix=OWN, cores=3, **environ):
    placement = placement_of(process, number, chosen)
    return process_environ(process, placement, prefix=prefix, environ=environ, cores=cores)


def test_each_of_two_processes_sees_one_of_two_devices():
    process = ProcessSettings(count=2, devices=("cuda:0", "cuda:1"))
    assert [variables(process, number)["CUDA_VISIBLE_DEVICES"] for number in (0, 1)] == ["0", "1"]


def test_without_devices_those_of_the_server_stay():
    assert variables(ProcessSettings(), CUDA_VISIBLE_DEVICES="3")["CUDA_VISIBLE_DEVICES"] == "3"


def test_what_a_plugin_chooses_counts_over_the_devices_of_the_settings_and_below_their_variables():
    process = ProcessSettings(devices=("cuda:0",), env={"NCCL_DEBUG": "INFO"})
    chosen = Placement(devices=("cuda:5",), env={"NCCL_DEBUG": "WARN", "NUMA": "1"})
    given = variables(process, chosen=chosen)
    assert (given["CUDA_VISIBLE_DEVICES"], given["NCCL_DEBUG"], given["NUMA"]) == ("5", "INFO", "1")


@pytest.mark.parametrize(
    "process, chosen, threads",
    [
        (ProcessSettings(), None, "3"),
        (ProcessSettings(cpus=("0-1",)), None, "2"),
        (ProcessSettings(cpus=("0-1",)), Placement(cpus=[4]), "1"),
        (ProcessSettings(env={"OMP_NUM_THREADS": "7"}, cpus=("0-1",)), None, "7"),
    ],
)
def test_numeric_libraries_get_as_many_threads_as_the_process_has_processors(process, chosen, threads):
    assert variables(process, chosen=chosen)["OMP_NUM_THREADS"] == threads


def test_nothing_of_the_servers_environment_leads_a_process_of_another_one_astray(tmp_path):
    of_server = {
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/y",
        "VIRTUAL_ENV": "/server",
        "CONDA_PREFIX": "/conda",
        "PATH": "/bin",
        "HOME": "/h",
    }
    given = variables(ProcessSettings(), prefix=tmp_path, **of_server)
    kept = {name: given.get(name) for name in of_server}
    assert kept == {
        "PYTHONPATH": None,
        "PYTHONHOME": None,
        "VIRTUAL_ENV": str(tmp_path),
        "CONDA_PREFIX": None,
        "PATH": f"{tmp_path}/bin:/bin",
        "HOME": "/h",
    }
    assert given["PYTHONNOUSERSITE"] == "1"


def test_a_conda_environment_is_named_as_one(tmp_path):
    (tmp_path / "conda-meta").mkdir()
    given = variables(ProcessSettings(), prefix=tmp_path)
    assert (given["CONDA_PREFIX"], given.get("VIRTUAL_ENV")) == (str(tmp_path), None)


def limited(code, memory=None, cpus=()):
    return subprocess.run(
        [sys.executable, "-I", "-c", code], preexec_fn=limits(memory, cpus), capture_output=True, text=True, check=False
    )  # fmt: skip


def test_a_process_gets_no_more_memory_than_its_limit_and_knows_it():
    code = "x = bytearray(50_000_000); print('small')\ntry: bytearray(400_000_000)\nexcept MemoryError: print('no')"
    assert limited(code, memory=200_000_000).stdout.split() == ["small", "no"]


def test_memory_that_is_reserved_alone_does_not_count():
    code = "import mmap; print(len(mmap.mmap(-1, 500_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)))"
    assert limited(code, memory=200_000_000).stdout.split() == ["500000000"]


def test_a_process_runs_on_its_processors_alone():
    own = min(os.sched_getaffinity(0))
    assert limited("import os; print(*os.sched_getaffinity(0))", cpus={own, 4000}).stdout.split() == [str(own)]


def test_processors_that_are_not_there_are_named():
    with pytest.raises(NoSuchProcessors, match=r"process\.cpus names 4000, and the server may use the processors "):
        limits(None, {4000})
    assert limits(None, ()) is None
