"""The benchmark reads load generators rightly, compares as it says, and measures a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "scripts"))

from benching import contestants, environments, load, pages, report, results, wire  # noqa: E402 - scripts/ is no package that is installed
from benching.results import Bar, Column, Result  # noqa: E402
from benching.workloads import WORKLOADS  # noqa: E402
from benching.workloads.batching import punctual  # noqa: E402
from benching.workloads.memory import flat  # noqa: E402

H2LOAD = """
finished in 983.12ms, 8137.36 req/s, 1.25MB/s
requests: 8000 total, 8000 started, 8000 done, 7999 succeeded, 1 failed, 1 errored, 0 timeout
status codes: 7999 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.19MB (1249180) total, 54.69KB (56000) headers (space savings 94.81%), 820.31KB (840000) data
"""


def two_contestants():
    return Result(
        "tiny",
        "Tiny",
        samples={
            "srv": [{"cpu": 50.0, "throughput": 900.0}, {"cpu": 40.0, "throughput": 1100.0}],
            "mlserver": [{"cpu": 600.0, "throughput": 90.0}, {"cpu": 500.0, "throughput": 80.0}],
        },
    )


def test_the_best_round_of_each_column_counts():
    result = two_contestants()
    assert [result.best("srv", key) for key in ("cpu", "throughput", "p99")] == [40.0, 1100.0, None]


@pytest.mark.parametrize(
    "hold, measured, met",
    [
        (lambda r: r.times_less("a", "srv", "mlserver", "cpu", least=12), "12.5 times less (40.0 against 500.0)", True),
        (
            lambda r: r.times_less("a", "srv", "mlserver", "cpu", least=13),
            "12.5 times less (40.0 against 500.0)",
            False,
        ),
        (lambda r: r.times_more("a", "mlserver", "srv", "cpu", most=2), "12.5 times (500.0 against 40.0)", False),
        (lambda r: r.at_most_over("a", "srv", "mlserver", "cpu", most=5), "-460.0 (40.0 against 500.0)", True),
        (lambda r: r.faster("a", "srv", "mlserver", "throughput", least=10), "12.2 times (1,100 against 90.0)", True),
        (lambda r: r.times_less("a", "srv", "kserve", "cpu", least=1), "not compared: kserve was not measured", None),
    ],
)
def test_a_bar_says_what_was_measured_and_whether_it_is_met(hold, measured, met):
    result = two_contestants()
    hold(result)
    assert result.bars == [Bar("a", measured, met)]


def test_a_result_is_read_as_it_was_written():
    result = two_contestants()
    result.times_less("asked", "srv", "mlserver", "cpu", least=12)
    result.series["srv"] = [(0.0, 1.0), (2.0, 3.0)]
    assert results.read(json.loads(json.dumps(result.document()))) == result


def test_several_runs_make_one_page_where_the_latest_word_on_a_workload_counts():
    again = two_contestants()
    again.samples["srv"] = [{"cpu": 30.0}]
    runs = [
        {"taken": {"date": name}, "command": name, "workloads": [each.document() for each in found]}
        for name, found in (("first", [two_contestants(), Result("iris", "Iris")]), ("second", [again]))
    ]
    taken, command, found = results.together(json.loads(json.dumps(runs)))
    assert (taken, command) == ({"date": "second"}, "first\nsecond")
    assert [(each.name, each.best("srv", "cpu")) for each in found] == [("tiny", 30.0), ("iris", None)]


def test_what_h2load_prints_is_read():
    assert load.read_h2load(H2LOAD) == (8000, 0.98312, 1, 840000)


def test_the_log_of_h2load_gives_percentiles_in_milliseconds():
    log = "".join(f"1\t200\t{1000 * each}\n" for each in range(1, 101))
    assert load.read_log(log) == {"p50": 51.0, "p75": 76.0, "p90": 91.0, "p99": 100.0}


def test_the_report_of_wrk_is_read():
    printed = "Running 1s test\nREPORT requests=12, seconds=1.500000, failed=0, p50=0.5, p75=0.6, p90=0.7, p99=1.25\n"
    assert load.read_wrk(printed) == (12, 1.5, 0, {"p50": 0.5, "p75": 0.6, "p90": 0.7, "p99": 1.25})


def test_errors_of_grpc_are_failures_though_h2load_sees_none(monkeypatch):
    server = type("Server", (), {"grpc_port": 1})
    monkeypatch.setattr(load, "h2load", lambda *_: (100, 1.0, 0, 50 * 25, {}))
    assert load.by_h2load(server, wire.Call(b"x"), 100, 4, 20)[2] == 50


def test_a_binary_request_says_how_long_its_json_is():
    request = wire.in_binary("last", bytes(16))
    length = int(dict(request.headers)["Inference-Header-Content-Length"])
    assert json.loads(request.body[:length])["inputs"][0]["parameters"] == {"binary_data_size": 16}
    assert len(request.body) == length + 16


def test_a_table_has_a_row_for_each_contestant_and_the_ratio_to_the_first():
    assert report.rows(two_contestants()) == [
        ["", "CPU µs/request", "× srv", "requests/s", "p50 ms", "p90 ms", "p99 ms"],
        ["srv", "40.0", "1.00", "1,100", "–", "–", "–"],
        ["mlserver", "500.0", "12.5", "90.0", "–", "–", "–"],
    ]


def test_the_terminal_shows_all_rounds_bars_and_notes():
    result = two_contestants()
    result.bars.append(Bar("asked", "measured", met=False))
    result.notes.append("kserve was not measured.")
    printed = report.terminal(result)
    assert "srv: CPU µs/request of all rounds: 50.0, 40.0\n" in printed
    assert printed.endswith("asked: measured: NOT MET\n  kserve was not measured.\n")


def test_the_page_keeps_what_is_written_above_its_marker(tmp_path):
    (tmp_path / "benchmarks.md").write_text("# Ours\n\n" + pages.MARKER + "old")
    nothing_to_draw = Result("tiny", "Tiny", samples={"srv": [{"cpu": 50.0}]}, bars=[Bar("a", "b", met=True)])
    pages.write(tmp_path, [nothing_to_draw], {"machine": "a"}, "scripts/bench")
    text = (tmp_path / "benchmarks.md").read_text()
    assert text.startswith("# Ours\n\n" + pages.MARKER)
    assert "old" not in text
    assert "| Tiny | a | b | met |\n" in text
    assert "| srv | 50.0 | – | – | – | – |\n" in text


def test_the_overview_has_the_peers_of_workloads_that_measure_cpu():
    alone = Result("large", "Large", samples={"srv": [{"cpu": 1.0}], "bare": [{"cpu": 1.0}]})
    start = Result("start", "Start", (Column("ready", "s"),), samples={"srv": [{"ready": 1.0}], "mlserver": []})
    assert pages.ratios([two_contestants(), alone, start]) == {"Tiny": {"mlserver": 12.5}}


def test_a_peer_that_cannot_be_installed_is_a_sentence():
    class Offline:
        def made(self, name, wanted):
            raise environments.NotInstalled(f"{' and '.join(wanted)} could not be installed: no network")

    peers, absent = contestants.installed(["kserve"], Offline())
    assert peers == []
    assert absent[0].startswith("kserve was not measured: kserve==")


def test_markdown_aligns_figures_and_escapes_bars():
    assert (
        pages.table([["a|b", "c"], ["x", "1,100"], ["y", "–"]])
        == "| a\\|b | c |\n| --- | ---: |\n| x | 1,100 |\n| y | – |\n"
    )


def test_the_slowest_percent_is_told_in_batch_rounds():
    samples = [{"p99": 9.0, "round": 2.0}, {"p99": 5.0, "round": 2.0}]
    assert punctual(samples) == Bar("p99 under 3 batch rounds", "2.50 rounds (p99 5.00 ms, a round 2.00 ms)", met=True)


def test_memory_is_flat_when_the_second_half_holds_as_much_as_the_first():
    growing = [(float(each), 100.0 + each) for each in range(21)]
    words = "+10.0 MB (median of the first 100,000 105.5, of the second 115.5)"
    assert flat(growing) == Bar("flat", words, met=False)
    assert flat([(0.0, 90.0), *[(0.0, 110.0), (0.0, 114.0)] * 10]).met


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_workload_is_a_module_of_its_own(name):
    assert (TOP / "scripts/benching/workloads" / f"{name}.py").is_file()


def test_a_column_whose_figures_are_missing_has_no_best():
    assert Column("p50", "p50").best([{"cpu": 1.0}]) is None


def bench(*words):
    return subprocess.run([sys.executable, TOP / "scripts/bench", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words, said", [(["tiniest"], "'tiniest' is no workload"), (["--peers", "x"], "'x' is no peer")]
)
def test_a_workload_or_peer_that_does_not_exist_is_wrong_usage(words, said):
    answer = bench(*words)
    assert answer.returncode == 2
    assert said in answer.stderr


@pytest.mark.e2e
def test_one_command_measures_a_server(tmp_path):
    file = tmp_path / "found.json"
    answer = bench(
        "tiny", "--here", "--peers", "--rounds", "1", "--seconds", "0.5", "--client", "python", "--json", file
    )
    assert answer.returncode == 0, answer.stderr
    assert "HTTP, three numbers in JSON\n" in answer.stdout
    (workload,) = json.loads(file.read_text())["workloads"]
    assert workload["notes"] == []
    assert {name: len(rounds) for name, rounds in workload["samples"].items()} == {"srv": 1, "srv with gthread": 1}
    assert all(each["cpu"] > 0 and each["p99"] > 0 for rounds in workload["samples"].values() for each in rounds)
