"""Text generation: prompts become texts, as a whole or token by token, until the client leaves or the deadline passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import ClientLeft
from srv_huggingface.loading import Loaded, to_device
from srv_huggingface.parameters import OfGeneration, Plain
from srv_huggingface.streaming import Background, Pieces
from srv_huggingface.task import TEXT, Task, text_output
from srv_huggingface.token_batches import TextTooLong, Tokens, positions_of

#: How many tokens are generated at most where neither the request nor the model says it; transformers' pipeline has it so.
_MOST = 256
#: Parameters that do something only where tokens are drawn.
_OF_SAMPLING = ("temperature", "top_k", "top_p")


class NoEffect(InvalidInput):
    """A parameter is for drawing tokens, and the likeliest ones are taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Parameter '{name}' has an effect only where tokens are drawn; send do_sample: true too.")


class TooManyTokens(InvalidInput):
    """Prompt and answer together would be longer than the model can read."""

    def __init__(self, row: int, prompt: int, new: int, most: int) -> None:
        super().__init__(
            f"Input 'text', row {row}, has {prompt} tokens; with max_new_tokens {new} that is more than the {most} that the "
            "model takes. Send less of one of them."
        )


class TooManyNewTokens(InvalidInput):
    """The answer would be longer than the model can write."""

    def __init__(self, asked: int, most: int) -> None:
        super().__init__(f"Parameter 'max_new_tokens' is {asked}, and the model writes {most} at most.")


class LeastAboveMost(InvalidInput):
    """More tokens are asked for at least than at most."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"Parameter 'min_new_tokens' is {least}, and 'max_new_tokens' {most}.")


class OnePromptOnly(InvalidInput):
    """A stream is asked for several prompts."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"A stream answers one prompt, and the request brings {found}. Send each in a request of its own."
        )


class BeamsInStream(InvalidInput):
    """A stream is asked with several beams, which know their answer only at the end."""

    def __init__(self) -> None:
        super().__init__(
            "Parameter 'num_beams' must be 1 in a stream, because beams know their answer only at the end."
        )


class NoChatTemplate(InvalidInput):
    """A request brings messages, and the model does not say how these become a prompt."""

    def __init__(self) -> None:
        super().__init__("The model has no chat template, so it takes texts and no messages.")


class NoMessages(InvalidInput):
    """A row of JSON is no list of messages."""

    def __init__(self, row: int) -> None:
        super().__init__(
            f'Input \'text\', row {row}, is no list of messages such as [{{"role": "user", "content": "Hello"}}].'
        )


class CannotBegin(InvalidInput):
    """A prompt is empty, and the model has no token to begin with."""

    def __init__(self, row: int) -> None:
        super().__init__(f"Input 'text', row {row}, is empty. Send a prompt.")


class Abandoned(StoppingCriteria):  # type: ignore[misc]  # transformers ships no types here
    """Stops generation when nobody waits for it any more."""

    def __init__(self, request: InferenceRequest) -> None:
        self._request = request
        self._stopped = False

    def stop(self) -> None:
        """Note that nobody reads any more."""
        self._stopped = True

    def check(self) -> None:
        """Raise ClientLeft or DeadlinePassed where generation was stopped, since what it gave is no whole answer."""
        self._request.raise_if_abandoned()
        if self._stopped:
            raise ClientLeft

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Return for each row whether it is done. transformers calls it after each token."""
        is_so = self._stopped or self._request.is_abandoned()
        return torch.full((input_ids.shape[0],), is_so, dtype=torch.bool, device=input_ids.device)


class Generation(Task):
    """Text for each prompt: its continuation, or what an encoder-decoder makes of it."""

    parameters: ClassVar[type[Plain]] = OfGeneration
    streams: ClassVar[bool] = True

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        tokenizer = loaded.tokenizer()
        self._tokens = Tokens(tokenizer, self.model)
        self._continues = loaded.order.task == "text-generation"
        config = self.model.generation_config
        ends = config.eos_token_id
        self._ends: list[int] = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else config.pad_token_id
        # Without a token for padding the end's stands for it, which the attention mask tells apart.
        self._pad = pad if pad is not None else self._ends[0] if self._ends else 0
        self._tokens.pad = self._pad
        self._tokens.can_pad = "attention_mask" in tokenizer.model_input_names
        self._positions = positions_of(self.model)
        self._own_most = config.max_new_tokens or _most_by_length(config)
        self.outputs = [
            Spec("BYTES", (-1,), name="text_output", parameters=TEXT),
            Spec("BYTES", (-1,), name="finish_reason", parameters=TEXT),
            Spec("INT64", (-1,), name="prompt_tokens"),
            Spec("INT64", (-1,), name="completion_tokens"),
        ]
        self.described = {
            "max_tokens": self._tokens.longest,
            "max_new_tokens": self._own_most or _MOST,
            "chat": bool(tokenizer.chat_template),
        }

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return text, reason of its end, and the number of tokens of prompt and text, for each prompt."""
        rows = self._prompts(request)
        options = self._options(given)
        limits = self._limits(rows, options, given)
        texts: list[str] = [""] * len(rows)
        counts, reasons = np.zeros(len(rows), dtype=np.int64), [""] * len(rows)
        # With texts to stop at, padding behind a row's end cannot be told from tokens, so these run one by one.
        size = 1 if given.get("stop") else self.loaded.order.batch_size
        abandoned = Abandoned(request)
        # Rows that have room for fewer tokens run apart, so that what stands beside a row changes nothing in its answer.
        for limit in sorted(set(limits)):
            alike = [place for place, own in enumerate(limits) if own == limit]
            options["max_new_tokens"] = limit
            for chosen, batch in self._tokens.batches([rows[place] for place in alike], size, left=self._continues):
                places = [alike[each] for each in chosen]
                for place, ids in zip(places, self._run(batch, options, abandoned), strict=True):
                    counts[place], reasons[place] = self._end(ids, options, given)
                    texts[place] = self._tokens.decode([ids[: counts[place]]])[0]
        return self._outputs(texts, reasons, [len(row["input_ids"]) for row in rows], counts)

    def stream(self, request: InferenceRequest, given: Mapping[str, Any]) -> Iterator[list[Tensor]]:
        """Yield the outputs for one prompt: each piece of text as it is made, the reason of its end in the last one.

        `completion_tokens` counts from the beginning.
        """
        rows = self._prompts(request)
        if len(rows) != 1:
            raise OnePromptOnly(len(rows))
        options = self._options(given)
        [options["max_new_tokens"]] = self._limits(rows, options, given)
        if options.get("num_beams", self.model.generation_config.num_beams or 1) > 1:
            raise BeamsInStream
        [(_, batch)] = self._tokens.batches(rows, 1, left=self._continues)
        prompt = [len(rows[0]["input_ids"])]
        pieces = Pieces(self._tokens, skip=1)
        abandoned = Abandoned(request)
        task = partial(self._run, batch, options, abandoned, streamer=pieces)
        with Background(task, pieces, stop=abandoned.stop) as run:
            for text, count in pieces:
                yield self._outputs([text], [""], prompt, [count])
            [ids] = run.result()
        count, reason = self._end(ids, options, given)
        yield self._outputs([pieces.rest()], [reason], prompt, [count])

    def _prompts(self, request: InferenceRequest) -> list[dict[str, list[int]]]:
        """Return the tokens of each prompt. Raises InvalidInput."""
        tensor = request.inputs[0] if request.inputs else None
        if tensor is not None and tensor.parameters.get("content_type") == "json" and tensor.datatype == "BYTES":
            return self._chats(request)
        texts = self.texts(request)
        if self._continues:
            for row, text in enumerate(texts):
                if not text:
                    raise CannotBegin(row)
        return self._tokens.encode("text", texts)

    def _chats(self, request: InferenceRequest) -> list[dict[str, list[int]]]:
        self.check_inputs(request)
        if not self._tokens.tokenizer.chat_template:
            raise NoChatTemplate
        rows = []
        for place, messages in enumerate(request.decode("text")):
            if not _are_messages(messages):
                raise NoMessages(place)
            with self._tokens.lock:
                found = self._tokens.tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, return_dict=True, tokenize=True
                )
            rows.append({name: found[name] for name in ("input_ids", "attention_mask")})
            count, most = len(found["input_ids"]), self._tokens.longest
            if most is not None and count > most:
                raise TextTooLong("text", place, count, most, may_cut=False)
        return rows

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what generate is told of the request. Raises NoEffect."""
        options = {name: value for name, value in given.items() if name != "stop"}
        own = self.model.generation_config
        draws = options.get("do_sample", bool(own.do_sample))
        for name in _OF_SAMPLING:
            if name in options and not draws:
                raise NoEffect(name)
        if not draws and own.do_sample:
            options |= {"temperature": None, "top_p": None, "top_k": None}
        if given.get("stop"):
            options["stop_strings"] = given["stop"]
        return options

    def _limits(
        self, rows: Sequence[Mapping[str, Sequence[int]]], options: Mapping[str, Any], given: Mapping[str, Any]
    ) -> list[int]:
        """Return how many tokens each row may get. Raises InvalidInput where the request asks for more."""
        said = given.get("max_new_tokens")
        wanted, least = said or self._own_most or _MOST, options.get("min_new_tokens", 0)
        if least > wanted:
            raise LeastAboveMost(least, wanted)
        if not self._continues:
            # The first token is given to the model, so one fewer can be made.
            most = self._positions - 1 if self._positions is not None else wanted
            if said is not None and said > most:
                raise TooManyNewTokens(said, most)
            return [min(wanted, most)] * len(rows)
        if self._tokens.longest is None:
            return [wanted] * len(rows)
        limits = []
        for place, row in enumerate(rows):
            count = len(row["input_ids"])
            if count + (said or 1) > self._tokens.longest:
                raise TooManyTokens(place, count, said or 1, self._tokens.longest)
            limits.append(min(wanted, self._tokens.longest - count))
        return limits

    def _run(
        self, batch: dict[str, torch.Tensor], options: dict[str, Any], abandoned: Abandoned, *, streamer: Any = None
    ) -> list[list[int]]:
        """Return the new tokens of each row. Raises ClientLeft or DeadlinePassed where nobody waits any more."""
        options = dict(options)
        with torch.inference_mode():
            inputs = to_device(
                {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}, self.model
            )
            if stops := options.pop("stop_strings", None):
                options |= {"stop_strings": stops, "tokenizer": self._tokens.tokenizer}
            found = self.model.generate(
                **inputs,
                **options,
                pad_token_id=self._pad,
                stopping_criteria=StoppingCriteriaList([abandoned]),
                streamer=streamer,
            )
        abandoned.check()
        begin = inputs["input_ids"].shape[1] if self._continues else 1
        new: list[list[int]] = found[:, begin:].tolist()
        return new

    def _end(self, ids: Sequence[int], options: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[int, str]:
        """Return how many tokens were generated, the end's own included, and why no more were."""
        for place, token in enumerate(ids):
            if token in self._ends:
                return place + 1, "stop"
        stopped = given.get("stop") and len(ids) < options["max_new_tokens"]
        return len(ids), "stop" if stopped else "length"

    def _outputs(
        self, texts: Sequence[str], reasons: Sequence[str], prompts: Sequence[int], counts: Any
    ) -> list[Tensor]:
        return [
            text_output("text_output", list(texts)),
            text_output("finish_reason", list(reasons)),
            Tensor("prompt_tokens", np.array(prompts, dtype=np.int64)),
            Tensor("completion_tokens", np.array(counts, dtype=np.int64)),
        ]


def _are_messages(messages: object) -> bool:
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(each, dict) and isinstance(each.get("role"), str) and isinstance(each.get("content"), str)
            for each in messages
        )
    )


def _most_by_length(config: Any) -> int | None:
    """Return the model's own limit of new tokens, where its generation config says a length; 20 is transformers' default."""
    length = config.max_length
    return length if isinstance(length, int) and length != 20 else None
