"""Programs as a server serves them: over REST and gRPC, from folders without settings, to many threads at once."""

import json
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from networks import Branches, Classifier, Pictures, Sequences
from torch.export import Dim

from srv.testing import model

BATCH = Dim("batch", min=1, max=4096)
FORMS = ["json", "binary", "grpc", "grpc-typed"]
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def classifier():
    return Classifier().eval()


@pytest.fixture(scope="module")
def exported(export, classifier):
    return export(classifier, torch.zeros(2, 4), dynamic_shapes={"x": {0: BATCH}})


@pytest.mark.parametrize("kind", ["exported", "scripted"])
def test_a_folder_with_nothing_but_a_file_is_served_and_answers_as_torch_does(
    srv_server, tmp_path, exported, script, classifier, kind
):
    folder = tmp_path / "net"
    folder.mkdir()
    shutil.copy(exported if kind == "exported" else script(classifier), folder)
    rows = RANDOM.normal(size=(1000, 4)).astype(np.float32)
    rows[::97] = np.nan
    with torch.inference_mode():
        expected = {name: value.numpy() for name, value in classifier(torch.from_numpy(rows)).items()}

    server = srv_server(folder)

    for form in FORMS:
        answer = server.infer("net", {"x": rows}, form=form)
        assert answer.ok, answer
        for output, values in expected.items():
            assert np.array_equal(answer[output], values, equal_nan=True), (form, output)
    alone = np.concatenate([server.infer("net", {"rows": row[None]})["label"] for row in rows[:20]])
    assert np.array_equal(alone, expected["label"][:20])
    assert [each.name for each in server.infer("net", {"x": rows}, outputs=["label", "logits"]).response.outputs] == [
        "label",
        "logits",
    ]


def test_a_file_that_is_code_is_served_from_elsewhere_only_where_the_operator_says_so(srv_client, tmp_path, exported):
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    (elsewhere / "net").mkdir(parents=True)
    here.mkdir()
    shutil.copy(exported, elsewhere / "net")
    settings = {"models_dir": str(elsewhere), "on_load_error": "continue"}
    (here / "settings.json").write_text(json.dumps(settings))
    assert not srv_client(here).infer("net", {"x": np.ones((1, 4), np.float32)}).ok

    (here / "model-settings.json").write_text('{"allow_pickle": true}')
    assert srv_client(here).infer("net", {"x": np.ones((1, 4), np.float32)}).ok


@pytest.mark.parametrize("size", [1, 100])
def test_requests_are_run_as_batches_and_each_gets_its_own_rows(srv_client, exported, classifier, size):
    client = srv_client(
        model("torch", name="m", files={"model.pt2": exported}, max_batch_size=size, max_batch_time=0.01)
    )
    rows = RANDOM.normal(size=(80, 4)).astype(np.float32)
    with torch.inference_mode():
        labels = classifier(torch.from_numpy(rows))["label"].numpy()
    answers = [None] * len(rows)

    def ask(place):
        answers[place] = client.infer("m", {"x": rows[place : place + 1]})["label"][0]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(rows))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == labels.tolist()


def test_threads_share_programs_and_get_their_own_answers(srv_client, export, script, classifier, exported):
    side = {2: Dim("height", min=2, max=64), 3: Dim("width", min=2, max=64)}
    ids = torch.zeros(2, 3, dtype=torch.int64)
    shapes = {"ids": {0: BATCH}, "mask": {0: BATCH}}
    modules = {
        "classifier": (classifier, exported),
        "scripted": (classifier, script(classifier)),
        "branches": (Branches(), export(Branches(), torch.ones(2, 4), dynamic_shapes={"x": {0: BATCH}})),
        "pictures": (
            pictures := Pictures().eval(),
            export(pictures, torch.zeros(2, 3, 8, 8), dynamic_shapes={"picture": {0: BATCH, **side}}),
        ),
        "sequences": (
            sequences := Sequences().eval(),
            export(sequences, ids, torch.ones(2, 3), dynamic_shapes=shapes),
        ),
    }
    client = srv_client(*(model("torch", name=name, files={file.name: file}) for name, (_, file) in modules.items()))
    asked = [
        ("classifier", {"x": RANDOM.normal(size=(rows, 4)).astype(np.float32)}) for rows in (1, 7, 100)
    ] + [
        ("scripted", {"x": RANDOM.normal(size=(rows, 4)).astype(np.float32)}) for rows in (1, 7, 100)
    ] + [
        ("branches", {"x": sign * RANDOM.random((5, 4), np.float32)}) for sign in (1, -1)
    ] + [
        ("pictures", {"picture": RANDOM.normal(size=(2, 3, side, 9)).astype(np.float32)}) for side in (4, 32)
    ] + [
        ("sequences", {"ids": RANDOM.integers(0, 50, (rows, 3)), "mask": np.ones((rows, 3), np.float32)})
        for rows in (1, 50)
    ]  # fmt: skip
    known = [client.infer(name, inputs, form="binary") for name, inputs in asked]
    for (name, inputs), answer in zip(asked, known, strict=True):
        with torch.inference_mode():
            expected = modules[name][0](*(torch.tensor(value) for value in inputs.values()))
        expected = {"output": expected} if isinstance(expected, torch.Tensor) else expected
        if isinstance(expected, tuple):
            expected = {f"output_{place}": value for place, value in enumerate(expected)}
        for output, value in expected.items():
            assert np.allclose(answer[output], value.numpy(), atol=1e-6), (name, output)
    end, wrong, count = time.monotonic() + 1.5, [], [0] * 8

    def ask(number):
        random = np.random.default_rng(number)
        while time.monotonic() < end and not wrong:
            place = random.integers(len(asked))
            name, inputs = asked[place]
            answer = client.infer(name, inputs, form="binary")
            right = known[place]
            wrong.extend(
                (name, output.name)
                for output in right.response.outputs
                if not np.array_equal(answer[output.name], output.data)
            )
            count[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(count) > 0
