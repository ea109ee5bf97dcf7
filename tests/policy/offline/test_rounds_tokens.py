"""What a policy sampled is what rounds and self-play train on: the same tokens, an end only where it was sampled."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.symbols import EOS, PAD
from plaudit.policy.algorithms import algorithm
from plaudit.policy.offline import rounds as module
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.offline.data.checking import checked_rows
from plaudit.policy.offline.rounds import RoundsConfig, align_in_rounds
from plaudit.policy.online.asking import asked
from plaudit.policy.online.selfplay.data import attempts_of, conjecturer_rows, prover_rows
from plaudit.policy.rollout import Sampling
from plaudit.records.rows import Pair, Ranked, Unpaired
from plaudit.records.sample import conversation
from plaudit.rewards.files import write_scored
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.training.config import Backbone
from plaudit.training.policies.encoding import encode_policy_groups
from plaudit.training.policies.fitting import start_language
from plaudit.training.policies.sampled import SAMPLED, sampled_column, sampled_ids, vocabulary_hash
from small_policies import Sevens, build_tokenizer, policy, prompts

SAMPLING = Sampling(completions=6, max_tokens=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("policy")
    write_causal(policy(), found)
    build_tokenizer().save_pretrained(found)
    return str(found)


@pytest.fixture(scope="module")
def said(folder, tmp_path_factory):
    log = tmp_path_factory.mktemp("said") / "log"
    return asked(prompts(6), model=folder, reward=Sevens(), sampling=SAMPLING, log=log, key="k", max_length=96)


def language(folder, name, **changes):
    return start_language(
        Backbone(name=folder), (), AlignConfig(algorithm=name, **({"max_length": 96} | changes)), foreign=True
    )


def sequences(groups):
    """All token ids that are trained on, and how many of them count."""
    return Counter(
        (tuple(one.ids.tolist()), tuple(one.counted.tolist())) for group in groups for one in group.located
    )  # fmt: skip


def sampled(rollouts):
    """The same of what was sampled: all tokens behind the prompt count."""
    return Counter(
        (
            (*r.prompt_ids, *r.completion_ids),
            tuple(range(len(r.prompt_ids), len(r.prompt_ids) + len(r.completion_ids))),
        )
        for r in rollouts
    )  # fmt: skip


def test_rounds_imitate_the_tokens_that_were_sampled(folder, said):
    named = algorithm("raft?keep=6")
    rows = checked_rows(module._taught(said, named, "all", None), named)
    groups = encode_policy_groups(rows, language(folder, "raft?keep=6"), labels=True)
    assert sequences(groups) == sampled(said.flat)
    # the world shows what texts lose: completions without an end, and tokens that decode to nothing
    assert any(r.finish == "length" and r.completion_ids[-1] != EOS for r in said.flat)
    assert any(PAD in r.completion_ids for r in said.flat)


@pytest.mark.parametrize(("name", "labels"), [("dpo", False), ("sppo", False), ("kto", True)])
def test_pairs_of_rounds_are_of_sampled_tokens(folder, said, name, labels):
    named = algorithm(name)
    known = set(sampled(said.flat))
    rows = module._taught(said, algorithm("dpo"), "extremes", None)
    if name == "kto":
        rows = [Unpaired(r.prompt, c, i == 0, r.meta) for r in rows for i, c in enumerate(r.completions)]
    groups = encode_policy_groups(
        checked_rows(rows, named), language(folder, name), labels=labels, mismatch=named.algorithm.mismatched
    )
    own = [
        (tuple(one.ids.tolist()), tuple(one.counted.tolist()))
        for g in groups
        for one, other in zip(g.located, g.mismatched, strict=True)
        if not other
    ]
    assert len(own) == (len(rows) if name == "kto" else 2 * len(rows)) > 0
    assert set(own) <= known
    tails = {r.completion_ids for r in said.flat}
    strangers = [one for g in groups for one, other in zip(g.located, g.mismatched, strict=True) if other]
    assert len(strangers) == (len(groups) if name == "kto" else 0)
    assert all(tuple(one.ids[one.counted].tolist()) in tails for one in strangers)


def test_a_round_hands_its_tokens_to_the_alignment(folder, tmp_path, monkeypatch):
    handed = []

    class Seen(Exception):
        pass

    def align(rows, **_):
        handed.extend(rows)
        raise Seen

    monkeypatch.setattr(module, "align", align)
    config = AlignConfig(algorithm="raft", max_length=96)
    with pytest.raises(Seen):
        align_in_rounds(
            prompts(4), model=folder, reward=Sevens(), config=config, rounds=RoundsConfig(1), sampling=SAMPLING,
            out=tmp_path, emit=None,
        )  # fmt: skip
    assert all(len(row.meta[SAMPLED]["completions"]) % 6 == 0 for row in handed)
    assert len(handed) == 4


def test_self_play_teaches_the_tokens_that_were_sampled(folder, said, tmp_path):
    batch = replace(said.reward, reward=np.tile([1.0, 0.0, 0.0], 12))  # a third is right
    write_scored(tmp_path / "proofs.jsonl", said.samples, batch)
    attempts = attempts_of(tmp_path / "proofs.jsonl", 6, (0.0, 1.0))
    assert SAMPLED not in attempts[0].statement.meta
    rows = prover_rows(attempts, high=0.5)
    lessons = checked_rows(rows, algorithm("weighted-sft"))
    groups = encode_policy_groups(lessons, language(folder, "weighted-sft"), labels=True, weighted=True)
    # right are the first and the fourth of six; of equally long ones the weights differ, and each is kept
    right = [row[i] for row in said.rollouts for i in (0, 3)]
    assert len(rows) == 12
    assert sequences(groups) == sampled(right)


def test_conjectures_carry_their_tokens():
    from plaudit.policy.online.selfplay.config import SelfPlayConfig
    from plaudit.policy.online.selfplay.data import Attempt
    from plaudit.policy.online.selfplay.playing import _cells, _conjecture
    from plaudit.policy.online.selfplay.subjects import Conjecture

    class Plain:
        def lemmas(self, statement, proof):
            return [] if statement.meta else [proof]

        def embedding(self, statements):
            return np.ones((len(statements), 1))

    (row,) = prompts(1)
    column = sampled_column([("7", (9, 1))], "v")
    made = _conjecture(_cells(Conjecture(row, conversation("ask"), conversation("bare"), "7", "", column)))
    assert made.sampled == column
    # one of five is right: seldom enough to teach, in a band that ends at one in four
    tried = Attempt(row, tuple("abcde"), np.ones(5), np.zeros(5), np.array([1.0, 0, 0, 0, 0]))
    (lesson,) = conjecturer_rows([(made, tried)], [row], subject=Plain(), config=SelfPlayConfig())
    assert lesson.meta[SAMPLED] == column
    old = {k: v for k, v in _cells(made).items() if k != "sampled"}  # of a run before there were tokens
    assert _conjecture(old).sampled == {}


def test_ids_by_text_each_way_in_turn():
    column = sampled_column([("ab", (3,)), ("ab", (1, 2)), ("c", (4, 0)), ("ab", (3,))], "v")
    meta = {SAMPLED: column}
    # one text, sampled three times in two ways; a text that was not sampled; the third way round is the first again
    assert sampled_ids(["ab", "ab", "x", "c", "ab"], [meta] * 5, vocabulary="v") == ((3,), (1, 2), None, (4, 0), (3,))
    assert sampled_ids(["ab"], [meta], vocabulary="another") == (None,)
    assert sampled_ids(["ab", "c"], [{SAMPLED: 7}, {}], vocabulary="v") == (None, None)  # a column of the user's


def test_another_vocabulary_reads_the_text(folder):
    (row,) = prompts(1)
    model = language(folder, "dpo")
    assert vocabulary_hash(model.tokenizer) == vocabulary_hash(build_tokenizer())
    there = {SAMPLED: sampled_column([("7", (9,)), ("8", (10,))], "another")}
    (mine,) = encode_policy_groups([Pair(row.prompt, "7", "8", meta=there)], model, labels=False)
    (plain,) = encode_policy_groups([Pair(row.prompt, "7", "8")], model, labels=False)
    assert mine.key == plain.key
    here = {SAMPLED: sampled_column([("7", (9, 9, 9))], vocabulary_hash(model.tokenizer))}
    (mixed,) = encode_policy_groups([Ranked(row.prompt, ("7", "8"), (1.0, 0.0), meta=here)], model, labels=False)
    assert mixed.located[0].ids[-3:].tolist() == [9, 9, 9]
    assert mixed.located[1].ids.tolist() == plain.located[1].ids.tolist()


def test_sampled_tokens_that_do_not_fit_are_told(folder):
    (row,) = prompts(1)
    model = language(folder, "dpo")
    here = {SAMPLED: sampled_column([("7", (9,) * 96)], vocabulary_hash(model.tokenizer))}
    with pytest.raises(InputError, match="row 1: a completion is longer than max_length 96"):
        encode_policy_groups([Pair(row.prompt, "7", "8", meta=here)], model, labels=False)
