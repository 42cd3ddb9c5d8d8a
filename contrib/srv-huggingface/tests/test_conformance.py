"""Served by srv, models of each kind of task do what every runtime must do."""

import threading
import time

import numpy as np
import pytest

from srv.testing import assert_runtime_conforms, srv_server


def files_of(folder):
    return {path.name: path for path in folder.iterdir() if path.name != "model-settings.json"}


@pytest.mark.parametrize(
    "name, inputs, settings",
    [
        ("bert", {"text": ["the cat sat", "good"]}, {}),
        ("bert", {"text": ["the cat sat", "good"]}, {"max_batch_size": 8}),
        ("ner", {"text": ["Anna lives in Berlin"]}, {}),
        ("mask", {"text": ["the [MASK] sat"]}, {}),
        ("qa", {"question": ["who lives"], "context": ["Anna lives in Berlin"]}, {}),
        ("features", {"text": ["the cat sat", "good"]}, {}),
        ("gpt2", {"text": ["the cat sat"]}, {"parameters": {"extra": {"parameters": {"max_new_tokens": 4}}}}),
    ],
    ids=["classes", "classes in batches", "entities", "masks", "answers", "features", "generation"],
)
def test_it_conforms(root, name, inputs, settings):
    wrong = [{name: np.zeros((1, 2, 2, 2)) for name in inputs}, {**inputs, "another": ["x"]}]
    assert_runtime_conforms("huggingface", request=inputs, wrong=wrong, files=files_of(root / name), settings=settings)


TASKS = {
    "bert": ({"text": ["the cat sat on the mat", "good"]}, {}, "score"),
    "gpt2class": ({"text": ["the dog", "a very big red house in Berlin"]}, {"truncation": True}, "score"),
    "ner": ({"text": ["Anna lives in Berlin"]}, {"aggregation_strategy": "simple"}, "entities"),
    "qa": ({"question": ["who works"], "context": ["Anna works for Siemens in Berlin"]}, {"max_seq_len": 14, "doc_stride": 1}, "answer"),
    "gpt2": ({"text": ["the cat sat", "a dog"]}, {"max_new_tokens": 5}, "text_output"),
    "t5": ({"text": ["the cat sat"]}, {"max_new_tokens": 5}, "text_output"),
    "wav2vec2": ({"audio": np.sin(np.arange(4000, dtype=np.float32))[None]}, {"sampling_rate": 16000}, "text"),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_eight_threads_get_the_answers_of_one(served, name, request):
    """Half of the threads ask for other settings of the tokenizer, which keeps these in itself."""
    inputs, parameters, output = TASKS[name]
    variants = [parameters]
    if name == "bert":
        variants = [{}, {"truncation": True}]
    expected = [served.infer(name, inputs, parameters=each)[output].tolist() for each in variants]
    until = time.monotonic() + 1.0
    faults, counts = [], []

    def ask(number):
        count = 0
        while time.monotonic() < until:
            place = number % len(variants)
            answer = served.infer(name, inputs, parameters=variants[place])
            if not answer.ok or answer[output].tolist() != expected[place]:
                faults.append(answer)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(counts) == 8
    assert sum(counts) >= 8


def test_a_bare_folder_is_served_by_a_server_of_its_own(root, tmp_path):
    folder = tmp_path / "mood"
    folder.mkdir()
    for name, path in files_of(root / "bert").items():
        (folder / name).write_bytes(path.read_bytes())
    with srv_server(folder, environ={"HF_HUB_OFFLINE": "0"}) as server:
        for form in ("json", "binary", "grpc"):
            answer = server.infer("mood", {"whatever": ["the cat sat", "good"]}, form=form)
            assert answer.ok, answer
            assert answer["score"].shape == (2,)
