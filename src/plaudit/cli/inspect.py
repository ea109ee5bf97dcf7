"""`plaudit inspect`: one row as the reward model sees it."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("data", help="pairs, samples or ranked rows")
    parser.add_argument("--reward", required=True, metavar="REF", help="a reward model: folder or hub id")
    parser.add_argument("--row", type=int, default=1, metavar="N", help="which row of the file, from 1 (default)")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")


def run(args: argparse.Namespace) -> int:
    """Prints template, tokens, EOS, and where the score is read, for each completion of the row."""
    from plaudit.errors import InputError
    from plaudit.records import Sample, read
    from plaudit.records.converting import convert
    from plaudit.rewards.models import ModelReward
    from plaudit.rewards.registry import load

    records = read(args.data, skip_broken=args.skip_broken)
    if not 1 <= args.row <= len(records.rows):
        raise InputError(f"--row is {args.row}, but {args.data} has rows 1 to {len(records.rows)}")
    row = records.rows[args.row - 1]
    samples = [s for s in convert([row], to="samples").rows if isinstance(s, Sample)]
    reward = load(args.reward)
    batch = reward(samples)
    if not isinstance(reward, ModelReward):
        for i, _ in enumerate(samples):
            print(f"completion {i + 1}: reward {batch.reward[i]:.6f}  {dict(batch.detail[i])}")
        print(f"{reward.name} is no sequence model: there are no tokens to show")
        return 0
    print(_header(reward))
    for i, sample in enumerate(samples):
        score = batch.detail[i]["score"]  # None where it is not finite: the reward is NaN then
        told = "not finite" if score is None else f"{score:.6f}"
        print(f"\n== completion {i + 1} of {len(samples)}: reward {batch.reward[i]:.6f}, score {told}")
        print(_tokens(reward, samples, i))
        print(f"-- template\n{reward.encoder.text(sample.messages, **_options(sample))}")
    return 0


_READERS = {
    "leaf": "leaf: the score is read at the last token",
    "classification": "classification: the encoder's own output, which it reads at its first token",
}


def _header(reward: Any) -> str:
    from plaudit.rewards.calibrators.reading import calibration_line

    template, m = reward.encoder.template, reward.manifest
    gate = reward.engine.gate
    eos = "appended after the template" if template.append_eos else "the template ends with it"
    tokenizer = reward.tokenizer
    return "\n".join(
        [
            f"model        {reward.name} ({type(reward.model).__name__}), fingerprint {reward.fingerprint}",
            f"path         {'prefix trees' if gate.open else 'padded batches: ' + gate.reason}",
            f"reader       {_READERS[m.reader]}",
            f"EOS          {tokenizer.eos_token!r} (id {tokenizer.eos_token_id}): {eos}",
            f"pad          {tokenizer.pad_token!r} (id {tokenizer.pad_token_id}): never part of a text",
            f"max length   {template.max_length} tokens; longer conversations lose their beginning",
            f"reward       (score {-m.offset:+.5g}) / {m.scale:.5g}, at least {m.floor:g}",
            *([f"calibration  {line}"] if (line := calibration_line(reward)) else []),
        ]
    )


def _tokens(reward: Any, samples: Any, at: int) -> str:
    """Each token with its id; `|` where the completion begins, `^` where the score is read."""
    group = [s for s in samples if s.prompt == samples[at].prompt]
    encoded = reward.encoder.encode_group(samples[at].prompt, [s.completion for s in group], **_options(samples[at]))[
        group.index(samples[at])
    ]
    names = reward.tokenizer.convert_ids_to_tokens(encoded.ids.tolist())
    lines = [f"-- {encoded.ids.size} tokens, {encoded.prompt_length} of the prompt; {encoded.cut} were cut off"]
    for i in range(encoded.ids.size):
        mark = "^ score" if i == encoded.ids.size - 1 else ("| completion" if i == encoded.prompt_length else "")
        if 12 <= i < encoded.prompt_length - 4:
            if i == 12:
                lines.append(f"   ... {encoded.prompt_length - 16} tokens of the prompt ...")
            continue
        lines.append(f"{i:6d} {encoded.ids[i]:8d}  {names[i]!r:24} {mark}".rstrip())
    return "\n".join(lines)


def _options(sample: Any) -> dict[str, Any]:
    """What the row gives the chat template besides the messages."""
    return {"tools": sample.meta.get("tools"), "kwargs": sample.meta.get("chat_template_kwargs")}
