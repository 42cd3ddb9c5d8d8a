from types import SimpleNamespace

import pytest

from srv.serve import prometheus_folder
from srv.serve.prometheus_folder import forget_gauges, share_metrics


@pytest.fixture(autouse=True)
def environ(monkeypatch):
    """An environment of the test's own."""
    own = {}
    monkeypatch.setattr(prometheus_folder, "os", SimpleNamespace(environ=own))
    return own


def test_workers_keep_metrics_in_a_folder_of_the_server(environ, tmp_path):
    share_metrics(tmp_path / "prometheus")

    assert environ == {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "prometheus")}
    assert (tmp_path / "prometheus").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_a_folder_that_the_user_has_named_stays_and_loses_the_gauges_of_workers_that_are_gone(environ, tmp_path, name):
    mine, own = tmp_path / "mine", tmp_path / "own"
    environ[name] = str(mine)
    for folder in (mine, own):
        folder.mkdir()
        for file in (
            "gauge_livesum_7.db",
            "gauge_liveall_7.db",
            "gauge_all_7.db",
            "gauge_liveall_8.db",
            "counter_7.db",
        ):
            (folder / file).touch()

    share_metrics(own)
    forget_gauges(own, 7)

    assert environ == {name: str(mine)}
    assert sorted(file.name for file in mine.iterdir()) == ["counter_7.db", "gauge_all_7.db", "gauge_liveall_8.db"]
    assert len([*own.iterdir()]) == 5
