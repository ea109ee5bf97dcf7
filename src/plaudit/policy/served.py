"""Sampling from a server that speaks OpenAI's completions protocol, such as vLLM, by HTTP.

What was sampled is never tokenised again: prompts go out as token ids, and token ids with their log-probabilities
must come back. vLLM returns them when asked by `return_token_ids`; a server that does not is refused.

The server's weights are the server's matter: the log-probabilities are those of the policy that it sampled from, and
what trains on them corrects for the distance to the newer one by their ratio. `served_adapters` sends new weights.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import random
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, final
from urllib.parse import urlsplit

from plaudit.engine.generation import Finish
from plaudit.errors import InputError, PlauditError, UnsupportedError
from plaudit.policy.rollout import Question, Rollout, Sampling, ends_of

_FINISH: Mapping[Any, Finish] = {"stop": "eos", "length": "length"}

_logger = logging.getLogger(__name__)


class ServerError(PlauditError, ConnectionError):
    """A server did not answer, after all tries."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a server is reached."""

    requests: int = 16
    """Requests at once."""
    timeout: float = 600.0
    """Seconds that one request may take."""
    tries: int = 5
    """Times a request is sent, when connections drop and servers fail."""
    backoff: float = 1.0
    """Seconds before the second try; doubled for each further one, up to 60, and spread by up to a half."""
    key: str = ""
    """Sent as a bearer token."""

    def __post_init__(self) -> None:
        if self.requests < 1 or self.tries < 1 or not self.timeout > 0 or self.backoff < 0:
            raise InputError(
                f"connection: requests {self.requests}, tries {self.tries}, timeout {self.timeout}, backoff "
                f"{self.backoff}; at least 1, at least 1, above 0, at least 0"
            )


@final
class ServerSampler:
    """Samples from a server's `POST /v1/completions`; a `Sampler`.

    A request asks for all completions of one question, with a seed made of the run's seed and the question's key. The
    same question then gives the same completions as far as the server's own arithmetic does not depend on what else it
    works on (in vLLM it does, at rounding level).

    Args:
        url: of the server, with or without `/v1`.
        model: the name that the server knows it by.
        tokenizer: turns sampled ids into text.
        ends: ids of the tokens that end a completion; those of the tokenizer by default.
        processed: whether the server's log-probabilities are at the sampling temperature (vLLM with
            `--logprobs-mode processed_logprobs`). What is trained on must be; by default vLLM's are those at
            temperature 1.
        connection: time-outs, tries, requests at once.

    Raises:
        InputError: if the URL is none of HTTP.
    """

    def __init__(
        self, url: str, model: str, tokenizer: Any, *, ends: Sequence[int] = (), processed: bool = False,
        connection: Connection | None = None,
    ) -> None:  # fmt: skip
        where = urlsplit(url)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise InputError(f"sampling: the server's URL is {url!r}; give one such as http://localhost:8000")
        self.url, self.model, self.tokenizer = url, model, tokenizer
        self.ends = tuple(ends) or ends_of(None, tokenizer)
        self.processed = processed
        self.connection = connection or Connection()
        self._where = where
        self._root = f"{where.path.rstrip('/').removesuffix('/v1')}/v1/"

    def __call__(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Rollout]]:  # fmt: skip
        """See `Sampler`; `sampling.sequences` is the server's matter.

        Raises:
            UnsupportedError: if the server returns no token ids or log-probabilities, or those of another temperature.
            InputError: if it refuses a request.
            ServerError: if it does not answer.
        """
        found: dict[int, list[Rollout]] = {}
        self.one_by_one(questions, sampling, seed=seed, progress=progress, kept=found.__setitem__)
        return [found[i] for i in range(len(questions))]

    def one_by_one(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int,
        progress: Callable[[int], object] | None = None, kept: Callable[[int, list[Rollout]], object],
    ) -> None:  # fmt: skip
        """As a call, but each question's completions are handed over when they come, in the thread that asked.

        After an error, too, those that have come and those on their way are: they are paid for.

        Raises:
            As a call.
        """
        self._check(sampling)
        stop = threading.Event()

        def ask(i: int, question: Question) -> None:
            kept(i, self._ask(question, sampling, seed, stop))

        pool = ThreadPoolExecutor(self.connection.requests, thread_name_prefix="plaudit-sample")
        try:
            asked = [pool.submit(ask, i, question) for i, question in enumerate(questions)]
            for count, future in enumerate(as_completed(asked), 1):
                future.result()
                if progress is not None:
                    progress(sampling.completions * count)
        finally:  # after an error, and after an interruption, nothing more is sent
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, sampling: Sampling) -> None:
        if sampling.temperature != 1.0 and not self.processed:
            raise UnsupportedError(
                f"sampling: at temperature {sampling.temperature} the log-probabilities must be at it too, and servers "
                "return those at 1; start vLLM with --logprobs-mode processed_logprobs and say processed=True, "
                "or sample at temperature 1"
            )
        if sampling.top_p != 1.0 and self.processed:
            raise UnsupportedError(
                f"sampling: with top_p {sampling.top_p} a server's processed log-probabilities are of the tokens that "
                "were left; those of all are trained on: sample with top_p 1"
            )

    def _ask(self, question: Question, sampling: Sampling, seed: int, stop: threading.Event) -> list[Rollout]:
        digest = hashlib.sha256(f"{seed}:{question.key}".encode()).digest()
        body = {
            "model": self.model, "prompt": list(question.ids), "n": sampling.completions,
            "max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p,
            "seed": int.from_bytes(digest[:4], "big") >> 1, "logprobs": 1, "return_token_ids": True,
            "stop_token_ids": list(self.ends), "stream": False,
        }  # fmt: skip
        reply = self._read(self.post("completions", body, stop))
        choices = reply.get("choices") if isinstance(reply, Mapping) else None
        if not isinstance(choices, list) or len(choices) != sampling.completions:
            count = len(choices) if isinstance(choices, list) else 0
            raise UnsupportedError(f"{self.url}: {count} completions came for {sampling.completions} asked for by n")
        return [self._rollout(question, choice) for choice in choices]

    def _rollout(self, question: Question, choice: Mapping[str, Any]) -> Rollout:
        ids, logps = choice.get("token_ids"), (choice.get("logprobs") or {}).get("token_logprobs")
        if not ids:
            raise UnsupportedError(
                f"{self.url}: no token_ids came back, and text must not be tokenised again to be trained on; serve the "
                "model with a vLLM that knows return_token_ids (0.10.2 or later)"
            )
        if not logps or len(logps) != len(ids) or not all(isinstance(p, int | float) and p <= 1e-6 for p in logps):
            raise UnsupportedError(
                f"{self.url}: {len(ids)} token ids and {len(logps or ())} log-probabilities came back; one each is "
                "needed"
            )
        seen = choice.get("prompt_token_ids")
        if seen is not None and tuple(seen) != question.ids:
            raise UnsupportedError(
                f"{self.url}: it sampled from another prompt ({len(seen)} tokens) than it was given "
                f"({len(question.ids)} tokens); turn off its cutting and its chat template"
            )
        finish = _FINISH.get(choice.get("finish_reason"))
        if finish is None:
            raise UnsupportedError(
                f"{self.url}: a completion finished by {choice.get('finish_reason')!r}; it is not whole"
            )
        if finish == "eos" and ids[-1] not in self.ends:
            raise UnsupportedError(
                f"{self.url}: a completion stopped at token {ids[-1]}, which is none of the ends {list(self.ends)}; "
                "give all of the model's with ends=..."
            )
        kept = ids[:-1] if finish == "eos" else ids
        text = str(self.tokenizer.decode(list(kept), skip_special_tokens=True))
        return Rollout.of(question, text, ids, [min(float(p), 0.0) for p in logps], finish)

    def post(self, what: str, body: Mapping[str, Any], stop: threading.Event | None = None) -> bytes:
        """The reply to a request, sent again while connections drop and the server fails.

        Args:
            what: the path below `/v1/`.
            body: sent as JSON.
            stop: where it is set, nothing is sent again.

        Raises:
            InputError: if the server refuses it.
            ServerError: if it does not answer.
        """
        sent, said, stop = json.dumps(body).encode(), "", stop or threading.Event()
        for attempt in range(self.connection.tries):
            if attempt:
                wait = min(60.0, self.connection.backoff * 2 ** (attempt - 1))
                if stop.wait(wait * (1 + random.random() / 2)):  # spread, so that all do not come back at once
                    break
            try:
                status, content = self._send(what, sent)
            except (OSError, http.client.HTTPException) as error:
                said = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if status == 200:
                    return content
                said = f"status {status}: {content[:200].decode(errors='replace')}"
                if status < 500 and status not in (408, 429):  # it understood, and will say the same again
                    raise InputError(f"{self.url}: refused a request with {said}")
            _logger.info("%s: try %d of %d failed, %s", self.url, attempt + 1, self.connection.tries, said)
        raise ServerError(
            f"{self.url}: no answer in {self.connection.tries} tries, the last one ended with {said}; is the server up?"
        )

    def _read(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError as error:
            raise UnsupportedError(f"{self.url}: the reply is no JSON ({error})") from error

    def _send(self, what: str, body: bytes) -> tuple[int, bytes]:
        host, port, timeout = self._where.hostname or "", self._where.port, self.connection.timeout
        link = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
            if self._where.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        headers = {"Content-Type": "application/json"}
        if self.connection.key:
            headers["Authorization"] = f"Bearer {self.connection.key}"
        try:
            link.request("POST", self._root + what, body, headers)
            reply = link.getresponse()
            return reply.status, reply.read()
        finally:
            link.close()
