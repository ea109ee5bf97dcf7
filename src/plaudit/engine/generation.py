"""Ancestral sampling from a causal language model, many completions a prompt.

A prompt is prefilled once and its key-value cache is expanded to its samples; finished rows leave the batch
(with their part of the cache), so that short completions cost little beside a long one.

Tokens are drawn by inverting the cumulative distribution at one uniform number per sequence and step, all
of which are drawn beforehand: the same generator gives the same completions whatever the batch size, the
order of prompts within a batch, or the padding (up to ties at rounding level). With a generator for each
prompt they do not depend on the other prompts of the call either.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError, UnsupportedError

Finish = Literal["eos", "length"]


@dataclass(frozen=True, slots=True)
class Generated:
    """One sampled completion, as token ids: what was sampled is never tokenised again.

    Attributes:
        prompt_ids: the prompt, without padding.
        completion_ids: the sampled tokens, the end-of-sequence token included where it came.
        logp: log-probability of each sampled token, nats, under the model at the sampling temperature and
            before top-p truncation (at temperature 1 for greedy decoding).
        finish: `eos`, or `length` where `max_new_tokens` ended it.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logp: tuple[float, ...]
    finish: Finish


@dataclass(frozen=True, slots=True)
class _Options:
    max_new_tokens: int
    temperature: float
    top_p: float | None
    eos: tuple[int, ...]
    pad_id: int
    suppress: tuple[int, ...]


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    samples_per_prompt: int,
    max_new_tokens: int,
    eos_id: int | Sequence[int],
    pad_id: int,
    generator: torch.Generator | Sequence[torch.Generator],
    temperature: float = 1.0,
    top_p: float | None = None,
    suppress: Sequence[int] = (),
    batch_size: int = 256,
    progress: Callable[[int], object] | None = None,
) -> list[list[Generated]]:
    """Samples completions of every prompt.

    Args:
        model: any transformers causal language model whose cache can be selected by row.
        prompts: token ids, one sequence a prompt, none empty.
        samples_per_prompt: completions of each.
        max_new_tokens: longest completion, tokens.
        eos_id: token or tokens that end a completion.
        pad_id: token that fills the left of shorter prompts; it is masked.
        generator: the source of randomness, advanced by one block of uniforms a call; or one for each prompt.
        temperature: divides the logits; 0 decodes greedily.
        top_p: draw from the smallest set of tokens that holds this probability; None for all.
        suppress: tokens that are never drawn (template marks, say); log-probabilities are of the rest.
        batch_size: most sequences in one forward call.
        progress: called with the number of completions finished so far.

    Returns:
        For each prompt, in order, its completions.

    Raises:
        InputError: if a prompt is empty or an option lies outside its range.
        UnsupportedError: if the model keeps no cache that rows can be selected from.
    """
    options = _options(max_new_tokens, temperature, top_p, eos_id, pad_id, suppress)
    _check(prompts, samples_per_prompt, batch_size)
    uniforms = _uniforms(generator, len(prompts), (samples_per_prompt, max_new_tokens))
    out: list[list[Generated]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # like lengths together: less padding
    together = max(1, batch_size // samples_per_prompt)
    training, done = model.training, 0
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(order), together):
                rows = order[start : start + together]
                prefill = _prefill(model, [prompts[i] for i in rows], options)
                for first in range(0, samples_per_prompt, batch_size):
                    last = min(first + batch_size, samples_per_prompt)
                    drawn = _decode(model, prefill, uniforms[rows, first:last], options, last == samples_per_prompt)
                    for j, (tokens, logps, finish) in enumerate(drawn):
                        i = rows[j // (last - first)]
                        out[i].append(Generated(tuple(prompts[i]), tokens, logps, finish))
                    done += len(drawn)
                    if progress is not None:
                        progress(done)
    finally:
        model.train(training)
    return out


def _uniforms(
    generator: torch.Generator | Sequence[torch.Generator], prompts: int, shape: tuple[int, int]
) -> Float[Tensor, "prompts samples steps"]:
    if isinstance(generator, torch.Generator):
        return torch.rand((prompts, *shape), generator=generator, dtype=torch.float64, device=generator.device)
    if len(generator) != prompts:
        raise InputError(f"generate: {len(generator)} generators for {prompts} prompts; give one, or one each")
    return torch.stack([torch.rand(shape, generator=g, dtype=torch.float64, device=g.device) for g in generator])


@dataclass(slots=True)
class _Prefill:
    cache: Any
    logits: Float[Tensor, "rows vocab"]
    mask: Bool[Tensor, "rows prompt"]


def _prefill(model: Any, prompts: Sequence[Sequence[int]], options: _Options) -> _Prefill:
    """Runs left-padded prompts once."""
    device, width = model.get_input_embeddings().weight.device, max(len(p) for p in prompts)
    ids = torch.full((len(prompts), width), options.pad_id, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = True
    ids, mask = ids.to(device), mask.to(device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    run = model(input_ids=ids, attention_mask=mask.long(), position_ids=positions, use_cache=True)
    cache = getattr(run, "past_key_values", None)
    if not hasattr(cache, "batch_select_indices") or not hasattr(cache, "batch_repeat_interleave"):
        raise UnsupportedError(
            f"generate: {type(model).__name__} keeps {type(cache).__name__}, whose rows cannot be "
            "selected; use a decoder with a key-value cache"
        )
    return _Prefill(cache, run.logits[:, -1].float(), mask)


def _decode(
    model: Any,
    prefill: _Prefill,
    uniforms: Float[Tensor, "rows samples steps"],
    options: _Options,
    final: bool,
) -> list[tuple[tuple[int, ...], tuple[float, ...], Finish]]:
    """Samples until every sequence has ended; rows that end leave the batch."""
    prompts, samples, steps = uniforms.shape
    rows = prompts * samples
    device = prefill.logits.device
    u = uniforms.reshape(rows, steps).to(device)
    cache = prefill.cache if final else copy.deepcopy(prefill.cache)  # a cache is changed in place
    cache.batch_repeat_interleave(samples)
    mask = prefill.mask.repeat_interleave(samples, dim=0)
    logits = prefill.logits.repeat_interleave(samples, dim=0)
    tokens = torch.full((rows, steps), options.pad_id, dtype=torch.long, device=device)
    logps = torch.zeros((rows, steps), device=device)
    length = torch.full((rows,), steps, device=device)
    live = torch.arange(rows, device=device)
    stops = torch.tensor(options.eos, device=device)
    for step in range(steps):
        token, logp = _draw(logits, u[live, step], options)
        tokens[live, step], logps[live, step] = token, logp
        goes_on = ~torch.isin(token, stops)
        length[live[~goes_on]] = step + 1
        if step + 1 == steps or not bool(goes_on.any()):
            break
        if not bool(goes_on.all()):
            keep = goes_on.nonzero().squeeze(1)
            cache.batch_select_indices(keep)
            live, mask, token = live[keep], mask[keep], token[keep]
        mask = torch.cat([mask, mask.new_ones((len(live), 1))], dim=1)
        positions = mask.sum(1, keepdim=True) - 1
        run = model(
            input_ids=token[:, None],
            attention_mask=mask.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        logits, cache = run.logits[:, -1].float(), run.past_key_values
    return _collect(tokens.cpu(), logps.cpu(), length.tolist(), options)


def _draw(
    logits: Float[Tensor, "rows vocab"], u: Float[Tensor, " rows"], options: _Options
) -> tuple[Int[Tensor, " rows"], Float[Tensor, " rows"]]:
    """One token a row by inverting the cumulative distribution at u, with its log-probability."""
    if options.suppress:
        logits = logits.index_fill(1, torch.tensor(options.suppress, device=logits.device), -math.inf)
    if options.temperature == 0:
        token = logits.argmax(dim=-1)
        return token, _logp(logits, token)
    scaled = logits / options.temperature
    # float64: a float32 cumulative sum over a large vocabulary is off by more than a rare token's probability
    probability = torch.softmax(scaled.double(), dim=-1)
    if options.top_p is None:
        token = _invert(probability, u)
    else:
        ranked, index = probability.sort(dim=-1, descending=True, stable=True)
        before = ranked.cumsum(-1) - ranked
        ranked = torch.where(before < options.top_p, ranked, 0.0)  # the first token always stays
        token = index.gather(1, _invert(ranked, u)[:, None]).squeeze(1)
    return token, _logp(scaled, token)


def _invert(weight: Float[Tensor, "rows vocab"], u: Float[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    cumulative = weight.cumsum(-1)
    total = cumulative[:, -1]
    # u < 1, so u * total stays below total except by rounding, and a token of weight zero is never met
    target = torch.minimum(u * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target[:, None], right=True).squeeze(1)


def _logp(logits: Float[Tensor, "rows vocab"], token: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    return logits.gather(1, token[:, None]).squeeze(1) - logits.logsumexp(dim=-1)


def _collect(
    tokens: Int[Tensor, "rows steps"],
    logps: Float[Tensor, "rows steps"],
    length: Sequence[int],
    options: _Options,
) -> list[tuple[tuple[int, ...], tuple[float, ...], Finish]]:
    stops = set(options.eos)
    out: list[tuple[tuple[int, ...], tuple[float, ...], Finish]] = []
    for ids, values, n in zip(tokens.tolist(), logps.tolist(), length, strict=True):
        out.append((tuple(ids[:n]), tuple(values[:n]), "eos" if ids[n - 1] in stops else "length"))
    return out


def _options(
    max_new_tokens: int,
    temperature: float,
    top_p: float | None,
    eos_id: int | Sequence[int],
    pad_id: int,
    suppress: Sequence[int],
) -> _Options:
    if max_new_tokens < 1:
        raise InputError(f"generate: max_new_tokens is {max_new_tokens}; give at least 1")
    if not temperature >= 0:
        raise InputError(f"generate: temperature is {temperature}; give 0 (greedy) or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"generate: top_p is {top_p}; give a probability above 0, at most 1, or None")
    eos = (eos_id,) if isinstance(eos_id, int) else tuple(eos_id)
    return _Options(max_new_tokens, temperature, None if top_p == 1 else top_p, eos, pad_id, tuple(suppress))


def _check(prompts: Sequence[Sequence[int]], samples_per_prompt: int, batch_size: int) -> None:
    empty = [i for i, prompt in enumerate(prompts) if not len(prompt)]
    if empty:
        raise InputError(f"generate: prompt {empty[0]} has no tokens; a prompt needs at least one")
    if samples_per_prompt < 1 or batch_size < 1:
        raise InputError(
            f"generate: samples_per_prompt is {samples_per_prompt} and batch_size {batch_size}; both are at least 1"
        )
