"""Generated text: streams give it in pieces, and it stops when nobody waits any more."""

import json
import threading

import pytest
import tiny_models
from tiny_models import sentences

from srv import InferenceRequest, ModelSettings, Tensor
from srv.cancellation import Caller
from srv.errors import ClientLeft, DeadlinePassed
from srv.testing import Client
from srv_huggingface import HuggingFaceRuntime
from srv_huggingface.generation import Abandoned
from srv_huggingface.streaming import Pieces


@pytest.mark.parametrize("name", ["gpt2", "t5"])
@pytest.mark.parametrize("form", ["json", "grpc"])
def test_the_pieces_of_a_stream_are_the_whole_text(served, name, form):
    for text in sentences(8, seed=12):
        whole = served.infer(name, {"text": [text]}, parameters={"max_new_tokens": 20})

        answers = served.stream(name, {"text": [text]}, parameters={"max_new_tokens": 20}, form=form)

        assert all(answer.ok for answer in answers), answers[-1]
        assert b"".join(answer["text_output"][0] for answer in answers) == whole["text_output"][0]
        assert [answer["finish_reason"][0] for answer in answers[:-1]] == [b""] * (len(answers) - 1)
        for output in ("finish_reason", "prompt_tokens", "completion_tokens"):
            assert answers[-1][output].tolist() == whole[output].tolist()
        counts = [int(answer["completion_tokens"][0]) for answer in answers]
        assert counts == sorted(counts)


def test_a_letter_of_several_tokens_comes_in_one_piece():
    class Bytes:
        """A tokenizer of bytes."""

        def decode(self, several):
            return [bytes(ids).decode(errors="replace") for ids in several]

    class Value(list):
        def reshape(self, _):
            return self

        def tolist(self):
            return list(self)

    pieces = Pieces(Bytes(), skip=1)
    pieces.put(Value([1, 2]))
    for byte in "aß日b€".encode():
        pieces.put(Value([byte]))
    pieces.close()

    assert [text for text, _ in pieces] == ["a", "ß", "日", "b", "€"]
    assert pieces.rest() == ""


def test_generate_answers_with_the_text_alone(served):
    whole = served.infer("gpt2", {"text": ["the cat"]}, parameters={"max_new_tokens": 5})
    text = whole["text_output"][0].decode()

    assert (
        served.post("/v2/models/gpt2/generate", {"text_input": "the cat", "max_new_tokens": 5}).json["text_output"]
        == text
    )
    stream = served.post(
        "/v2/models/gpt2/generate_stream", {"text_input": "the cat", "parameters": {"max_new_tokens": 5}}
    )
    frames = [json.loads(line[6:]) for line in stream.body.decode().splitlines() if line]
    assert "".join(frame["text_output"] for frame in frames) == text


def test_generation_stops_at_a_text(served):
    prompt = {"text": ["the cat"]}
    whole = served.infer("gpt2", prompt, parameters={"max_new_tokens": 30})
    text = whole["text_output"][0].decode()
    stop = next(letter for letter in text[3:] if letter.isascii() and letter.isalnum())

    answer = served.infer("gpt2", prompt, parameters={"max_new_tokens": 30, "stop": stop})

    assert stop in answer["text_output"][0].decode()
    assert answer["finish_reason"].tolist() == [b"stop"]
    assert answer["completion_tokens"][0] < whole["completion_tokens"][0]


def test_drawn_tokens_differ(served):
    parameters = {"do_sample": True, "temperature": 5.0, "top_k": 0, "max_new_tokens": 20}
    found = {served.infer("gpt2", {"text": ["cat"]}, parameters=parameters)["text_output"][0] for _ in range(4)}
    assert len(found) > 1


@pytest.mark.parametrize(
    "inputs, parameters, said",
    [
        (["a", "b"], {}, "A stream answers one prompt, and the request brings 2"),
        (["a"], {"num_beams": 2}, "'num_beams' must be 1 in a stream"),
        ([""], {}, "is empty"),
    ],
    ids=["two prompts", "beams", "no prompt"],
)
def test_what_a_stream_cannot_be_is_refused(served, inputs, parameters, said):
    [answer] = served.stream("gpt2", {"text": inputs}, parameters=parameters)
    assert answer.status == 400
    assert said in answer.json["error"]


def test_a_model_that_generates_nothing_has_no_stream(served):
    [answer] = served.stream("bert", {"text": ["a"]})
    assert answer.status == 501


# -- nobody waits any more ---------------------------------------------------------------------------------------------


@pytest.fixture
def runtime(tmp_path):
    """A GPT-2 that writes long texts."""
    tiny_models.gpt2(tmp_path, places=2048)
    runtime = HuggingFaceRuntime(ModelSettings(name="m", folder=tmp_path))
    runtime.load()
    return runtime


def asked(**parameters):
    request = InferenceRequest([Tensor("text", ["the cat"])], parameters={"max_new_tokens": 2000, **parameters})
    request.caller = Caller()
    return request


@pytest.fixture
def gate(monkeypatch):
    """Tokens behind the first piece of text wait until it is set; it counts them."""
    gate = threading.Event()
    gate.tokens = 0
    give = Pieces._next

    def counted(self, **options):
        if gate.tokens:
            assert gate.wait(30)
        text = give(self, **options)
        gate.tokens += bool(text or gate.tokens)
        return text

    monkeypatch.setattr(Pieces, "_next", counted)
    return gate


def generating():
    return [thread for thread in threading.enumerate() if thread.name == "srv-generation"]


def test_a_stream_stops_at_the_next_token_when_its_client_leaves(runtime, gate):
    request = asked()
    responses = runtime.predict_stream(request)
    next(responses)

    request.caller.leave()
    gate.set()

    with pytest.raises(ClientLeft):
        list(responses)
    assert gate.tokens <= 5
    assert generating() == []


def test_a_stream_that_is_closed_ends_its_thread(runtime, gate):
    responses = runtime.predict_stream(asked())
    next(responses)
    threading.Timer(0.2, gate.set).start()  # because close() waits for the thread, which waits at the gate

    responses.close()

    assert gate.tokens <= 5
    assert generating() == []


def test_what_generation_raises_ends_the_stream(runtime, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no more memory")

    monkeypatch.setattr(runtime._task.model, "generate", broken)
    with pytest.raises(RuntimeError, match="no more memory"):
        list(runtime.predict_stream(asked()))
    assert generating() == []


@pytest.mark.parametrize("why", ["left", "late"])
def test_an_answer_stops_at_the_next_token_when_nobody_waits(runtime, monkeypatch, why):
    request, tokens = asked(), []
    check = Abandoned.__call__

    def counted(self, *arguments, **options):
        tokens.append(1)
        if len(tokens) == 3 and why == "left":
            request.caller.leave()
        elif len(tokens) == 3:
            request.caller.due = 0.0
        return check(self, *arguments, **options)

    monkeypatch.setattr(Abandoned, "__call__", counted)
    with pytest.raises(ClientLeft if why == "left" else DeadlinePassed):
        runtime.predict(request)
    assert len(tokens) == 3
    assert request.caller.callback is None


def test_a_deadline_ends_generation_on_a_server(tmp_path):
    tiny_models.gpt2(tmp_path / "long", places=4096)
    (tmp_path / "long" / "model-settings.json").write_text('{"runtime": "huggingface", "request_timeout": 0.5}')
    with Client.of(tmp_path) as client:
        answer = client.infer("long", {"text": ["the cat"]}, parameters={"max_new_tokens": 4000})
        assert answer.status == 504


def test_what_stands_beside_a_prompt_changes_nothing_in_its_answer(served):
    prompts = ["cat", "the " * 30, "dog runs " * 4]
    alone = [served.infer("gpt2", {"text": [prompt]}) for prompt in prompts]

    together = served.infer("gpt2", {"text": prompts})

    for output in ("text_output", "finish_reason", "completion_tokens"):
        assert together[output].tolist() == [answer[output][0] for answer in alone]


def test_a_model_with_learnt_places_writes_no_more_than_these(tmp_path):
    import transformers

    tokenizer = tiny_models.wordpiece(tmp_path / "bart")
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=0,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=3, forced_eos_token_id=3,
    )  # fmt: skip
    transformers.BartForConditionalGeneration(config).save_pretrained(tmp_path / "bart")
    with Client.of(tmp_path) as client:
        assert client.infer("bart", {"text": ["the cat"]}).ok
        assert client.infer("bart", {"text": ["the cat"]}, parameters={"max_new_tokens": 63}).ok
        answer = client.infer("bart", {"text": ["the cat"]}, parameters={"max_new_tokens": 64})
        assert answer.json["error"] == "Parameter 'max_new_tokens' is 64, and the model writes 63 at most."
