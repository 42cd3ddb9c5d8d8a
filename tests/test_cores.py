"""How cores are shared out to numeric libraries."""

import os
import re

import pytest
from cgroups import Tree

from srv import cores as module
from srv.cores import cores, processors, share_cores, without_given_cores


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 8)


@pytest.mark.parametrize("workers, threads", [(1, "8"), (3, "2"), (9, "1")])
def test_each_worker_has_its_share_and_at_least_one(eight_cores, workers, threads):
    environ = {}
    share_cores(workers, environ)
    assert environ["OMP_NUM_THREADS"] == environ["OPENBLAS_NUM_THREADS"] == environ["MKL_NUM_THREADS"] == threads


def test_who_speaks_for_one_library_is_heard(eight_cores):
    environ = {"MKL_NUM_THREADS": "5"}
    share_cores(2, environ)
    assert environ["MKL_NUM_THREADS"] == "5"
    assert environ["OMP_NUM_THREADS"] == "4"


def test_who_speaks_for_openmp_speaks_for_those_that_follow_it(eight_cores):
    environ = {"OMP_NUM_THREADS": "5"}
    share_cores(2, environ)
    assert "OPENBLAS_NUM_THREADS" not in environ
    assert "MKL_NUM_THREADS" not in environ


@pytest.mark.parametrize(
    "name",
    [
        "POLARS_MAX_THREADS",
        "RAYON_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "LOKY_MAX_CPU_COUNT",
    ],
)
def test_libraries_that_do_not_follow_openmp_have_their_share_unless_somebody_speaks_for_them(eight_cores, name):
    environ = {"OMP_NUM_THREADS": "5"}
    share_cores(2, environ)
    assert environ[name] == "4"

    environ = {name: "3"}
    share_cores(2, environ)
    assert environ[name] == "3"


@pytest.mark.parametrize(
    "text, allowed", [("max 100000", 8), ("100000 100000", 1), ("50000 100000", 1), ("380000 100000", 4)]
)
def test_a_quota_of_any_group_above_counts(tmp_path, monkeypatch, text, allowed):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: range(8), raising=False)
    tree = Tree(tmp_path).v2("/a.slice/srv.service").write("/a.slice", "cpu.max", text)
    assert cores(tree.root) == allowed


def test_no_quota_means_every_core_that_may_be_used(tmp_path):
    assert cores(tmp_path) == len(os.sched_getaffinity(0))


def test_this_process_may_use_a_core():
    assert 1 <= cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text, meant", [("0", {0}), ("0-3", {0, 1, 2, 3}), ("0,2-3,8", {0, 2, 3, 8})])
def test_a_list_of_processors_is_read_as_taskset_has_it(text, meant):
    assert processors(text) == meant


@pytest.mark.parametrize("text", ["", "-", "3-1", "0,", "a", "0 1", "0-", "٣"])
def test_what_is_no_list_of_processors_is_refused(text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        processors(text)


def test_what_srv_gave_can_be_given_anew_and_what_the_user_said_stays(eight_cores):
    environ = {"POLARS_MAX_THREADS": "5", "HOME": "/h"}
    share_cores(2, environ)
    assert environ["OMP_NUM_THREADS"] == "4"

    assert without_given_cores(environ) == {"POLARS_MAX_THREADS": "5", "HOME": "/h"}
