"""Inverse reinforcement learning in turns: demonstrations, gaps, a reward a category, and rounds that are killed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.online import OnlineConfig
from plaudit.policy.online.inverse import (
    ByCategory,
    InverseConfig,
    Learner,
    clauses,
    demonstrations_of,
    gap_pairs,
    learn_reward,
    prompt_difficulty,
)
from plaudit.policy.online.inverse.difficulty import mean_gap
from plaudit.records.rows import Pair, Ranked, Unpaired
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.files import read_scored
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.rewards.models import ModelReward
from plaudit.training import Backbone, FitConfig
from small_policies import Sevens, policy, prompts

NAN = float("nan")


def shown(prompt, text, **meta):
    return Sample(conversation(prompt), text, meta=meta)


def test_what_shows_an_answer():
    rows = [
        shown("p", "a", kind="x"), Pair(conversation("q"), "b", "no", meta={"kind": "y"}),
        Unpaired(conversation("p"), "c", True, {"kind": "x"}), Unpaired(conversation("r"), "no", False, {"kind": "x"}),
        shown("p", "a", kind="x", reward=0.5, outcome="scored"),
    ]  # fmt: skip
    found = demonstrations_of(rows, category="kind")
    assert [(d.row.prompt[0].text, d.shown, d.category) for d in found] == [("p", ("a", "c"), "x"), ("q", ("b",), "y")]
    assert [(s.text, dict(s.meta)) for s in found[0].samples()] == [("a", {"kind": "x"}), ("c", {"kind": "x"})]
    assert [d.category for d in demonstrations_of(rows)] == ["", ""]


def test_what_shows_none_is_refused():
    for rows, words in (
        ([], "there are no demonstrations"),
        ([Ranked(conversation("p"), ("a", "b"), (1.0, 0.0))], "row 1 is a ranked row, which shows no answer"),
        ([shown("p", "a", gap=1)], "row 1 has a column 'gap', which rounds make"),
        ([shown("p", "a")], "row 1 has no column 'kind'"),
        (
            [shown("p", "a", kind="x"), shown("p", "b", kind="y")],
            "row 2 is of kind 'y', and the same prompt was of 'x'",
        ),
    ):
        with pytest.raises(InputError, match=words):
            demonstrations_of(rows, category="kind" if "kind" in words or "gap" in words else "")


def test_pairs_set_a_demonstration_above_a_sample_that_differs():
    given = demonstrations_of([shown("p", "a"), shown("p", "b"), shown("q", "c")])
    sampled = [[shown("p", t) for t in ("a", "x", "x", "y", "z")], [shown("q", "c")]]
    found = gap_pairs(given, sampled, most=2, seed=0)[""]
    assert len(found) == 2  # of q nothing differs
    assert [p.chosen for p in found] == ["a", "b"]  # demonstrations take turns
    assert {p.rejected for p in found} < {"x", "y", "z"}
    assert len(gap_pairs(given, sampled, most=9, seed=0)[""]) == 3
    assert {p.rejected for s in range(20) for p in gap_pairs(given, sampled, most=1, seed=s)[""]} == {"x", "y", "z"}


class Told:
    """A reward that says what it is told to, by the completion."""

    scope, bounds = "sample", (-5.0, 5.0)

    def __init__(self, said, name="told"):
        self.said, self.name, self.fingerprint = said, name, name

    def __call__(self, samples):
        found = np.array([self.said[s.text] for s in samples], dtype=float)
        return RewardBatch(found, np.where(np.isnan(found), Outcome.ABSTAINED, 0).astype(np.int8))


def test_hardness_and_gap_by_hand():
    """One-hot embeddings: a clause is found or not. Of two clauses of the demonstration a sample with one has 1/2."""
    letters = "abc"

    def embedding(texts):
        return np.array([[float(text.startswith(x)) for x in letters] for text in texts])

    given = demonstrations_of([shown("p", "a one. b two"), shown("q", "c"), shown("r", "a")])
    sampled = [[shown("p", "b x"), shown("p", "b. a")], [shown("q", "a"), shown("q", "b")], [shown("r", "a")]]
    said = {"a one. b two": 2.0, "c": 1.0, "a": -1.0, "b x": 0.5, "b. a": 1.5, "b": NAN}
    hardness, gap = prompt_difficulty(given, sampled, reward=Told(said), embedding=embedding)
    assert hardness.tolist() == pytest.approx([0.25, 1, 0])  # (1/2 + 0) / 2; nothing found; all found
    assert gap.tolist() == pytest.approx([1, 2, 0])  # 2 - 1; 1 - (-1), the abstention left out; the same text
    none = prompt_difficulty(given[1:2], [[shown("q", "b")]], reward=Told(said), embedding=embedding)[1]
    assert np.isnan(none).all()


def test_the_mean_gap_over_prompts_by_hand():
    """p: (3 + 1) / 2 - 0 = 2; q: 1 - (-1) = 2 without what abstains; r has no demonstration that is worth anything."""
    worth = np.array([3.0, 1.0, 0.0, 1.0, -1.0, NAN, NAN, 9.0])
    shown = np.array([1, 1, 0, 1, 0, 0, 1, 0], dtype=bool)
    found = mean_gap(worth, shown, ["p", "p", "p", "q", "q", "q", "r", "r"])
    assert found.value == pytest.approx(2)
    assert found.n == 2


def test_clauses():
    assert clauses("One, two. Three; four\nfive") == ["One, two.", "Three;", "four", "five"]
    assert clauses("3.5") == ["3.5"]
    assert clauses(" ") == [" "]


def test_each_category_has_its_own_reward():
    made = ByCategory({"x": Told({"a": 1.0, "b": 2.0}, "one"), "y": Told({"a": -1.0, "b": NAN}, "two")}, column="kind")
    rows = [shown("p", "a", kind="y"), shown("p", "b", kind="x"), shown("p", "b", kind="y"), shown("p", "a", kind="x")]
    found = made(rows)
    assert found.reward[[0, 1, 3]].tolist() == [-1, 2, 1]
    assert found.outcome.tolist() == [0, 0, Outcome.ABSTAINED, 0]
    assert made.name == "learnt(kind)"
    with pytest.raises(InputError, match="kind 'z' has no reward; known: x, y"):
        made([shown("p", "a", kind="z")])
    with pytest.raises(InputError, match="2 rewards and column ''"):
        ByCategory(made.of)
    group = Told({})
    group.scope = "group"
    with pytest.raises(InputError, match="told scores several samples together"):
        ByCategory({"": group})
    assert ByCategory({"": made.of["x"]}).fingerprint != made.fingerprint


# --- rounds


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    return tmp_path / "policy"


def demonstrated(n):
    """The answer 7, to prompts of two kinds in turn.

    With completions of two tokens most answers are sampled, and the reward is of what was seen: with six the policy
    finds answers that no reward model of this size was told about, and on which machine it does so is chance.
    """
    return [Sample(p.prompt, "7", p.reference, meta={"kind": "ab"[i % 2]}) for i, p in enumerate(prompts(n))]


CONFIG = InverseConfig(rounds=2, samples=4, pairs=4, test_share=0.25, category="kind")
LEARNER = Learner(
    OnlineConfig(
        algorithm="grpo-s", batch_size=8, completions=6, epochs=2, max_tokens=2, learning_rate=2e-2, max_length=64,
        warmup=0.0, save_steps=1, kl_coef=0.02,
    ),
    FitConfig(objective="demonstration-gap", learning_rate=1e-2, max_length=64, epochs=4, save_steps=2, warmup=0.3),
    Backbone(width=32, layers=1, heads=2, vocabulary=300),
)  # fmt: skip


def learnt(start, out, config=CONFIG, rows=48, **more):
    return learn_reward(demonstrated(rows), model=start, config=config, learner=LEARNER, out=out, emit=None, **more)


@pytest.mark.slow
def test_a_reward_is_learnt_and_spent_and_goes_on_after_a_kill(tmp_path, start, monkeypatch):
    whole = learnt(start, tmp_path / "whole", watched=[Sevens()])
    # on held-out prompts the reward tells demonstrations from what the policy said, nearly always
    assert whole.rounds[0]["ranked"].low > 0.8
    assert whole.rounds[0]["ranked"].n == 12
    # what has learnt from it is told apart less often, and says more of what demonstrations say
    assert whole.rounds[0]["gap_after"].value < whole.rounds[0]["gap"].value
    sevens = []
    for number in (0, 1):
        rows = (tmp_path / f"whole/stages/policy-{number}/metrics.jsonl").read_text().splitlines()
        sevens += [row["watched/sevens"] for row in map(json.loads, rows) if "watched/sevens" in row]
    assert np.mean(sevens[-4:]) > np.mean(sevens[:4]) + 0.1
    assert set(whole.rewards) == {"a", "b"}
    one = [ModelReward.load(at) for at in whole.rewards.values()]
    samples = demonstrated(48)[:6]
    assert not np.allclose(one[0](samples).reward, one[1](samples).reward)
    # the policy's prompts have what grpo-s reads
    kept = read_scored(tmp_path / "whole/stages/policy-1/samples.jsonl").samples
    assert all(0 <= s.meta["hardness"] <= 1 and isinstance(s.meta["gap"], float) for s in kept)
    record = json.loads((tmp_path / "whole/stages/policy-1/model/alignment.json").read_text())
    assert record["config"]["reference"] == str(start)  # the KL is to the start
    assert record["reward"] == "learnt(kind)"

    # killed in a reward's fit of the first round, and in the second round's policy
    from plaudit.policy.online.trainer import OnlineTrainer
    from plaudit.training.trainer import RewardTrainer

    for trainer, at in ((RewardTrainer, 3), (OnlineTrainer, 12)):
        step, count = trainer.training_step, iter(range(999))

        def dying(self, *args, step=step, count=count, at=at, **kwargs):
            if next(count) == at:
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        with monkeypatch.context() as patched:
            patched.setattr(trainer, "training_step", dying)
            with pytest.raises(KeyboardInterrupt):
                learnt(start, tmp_path / "killed", watched=[Sevens()])
    found = learnt(start, tmp_path / "killed", watched=[Sevens()])
    for mine, theirs in zip(found.rounds, whole.rounds, strict=True):
        assert mine == theirs
    for name in ("policy-1/model", "reward-1/category-1/model"):
        files = [tmp_path / run / "stages" / name / "model.safetensors" for run in ("whole", "killed")]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_more_rounds_go_on_and_a_cold_reward_begins_anew(tmp_path, start):
    few = replace(CONFIG, rounds=1, category="")
    short = learnt(start, tmp_path / "warm", few, rows=16)
    longer = learnt(start, tmp_path / "warm", replace(few, rounds=2), rows=16)
    assert longer.rounds[0] == short.rounds[0]
    assert longer.model.endswith("policy-1/model")
    assert longer.rewards == {"": f"{tmp_path}/warm/stages/reward-1/category-0/model"}
    learnt(start, tmp_path / "cold", replace(few, rounds=2, warm=False), rows=16)
    first, same = {}, {}
    for run in ("warm", "cold"):
        one, two = (tmp_path / run / f"stages/reward-{n}/category-0" for n in (0, 1))
        rows = map(json.loads, (two / "metrics.jsonl").read_text().splitlines())
        first[run] = next(row["loss"] for row in rows if "loss" in row)
        same[run] = (one / "model/tokenizer.json").read_bytes() == (two / "model/tokenizer.json").read_bytes()
    assert same == {"warm": True, "cold": False}  # a tokenizer is fitted to the texts of a model that begins anew
    assert (
        first["warm"] < 0 < first["cold"]
    )  # what goes on knows demonstrations from the first step; scores of 0 lose 0


def test_what_does_not_fit_together(tmp_path, start):
    for learner, words in (
        (replace(LEARNER, policy=OnlineConfig(algorithm="pref-grpo")), "pref-grpo does not learn from a reward alone"),
        (replace(LEARNER, policy=OnlineConfig(reference="x")), "sets a reference, which the rounds do"),
        (
            replace(LEARNER, fit=FitConfig(objective="plackett-luce")),
            "the fit is plackett-luce; give demonstration-gap",
        ),
        (replace(LEARNER, fit=FitConfig(objective="rao-kupper")), "the fit is rao-kupper"),
        (replace(LEARNER, fit=FitConfig(freeze=True)), "the fit is frozen"),
        (replace(LEARNER, fit=FitConfig(head_depth=2)), "begins anew in each fit"),
    ):
        with pytest.raises(InputError, match=words):
            learn_reward(demonstrated(8), model=start, config=CONFIG, learner=learner, out=tmp_path / "x", emit=None)
    for changes, words in (({"rounds": 0}, "rounds is 0"), ({"test_share": 1.0}, r"test_share is 1\.0")):
        with pytest.raises(InputError, match=words):
            replace(CONFIG, **changes)
    rows = [*demonstrated(8), shown("only one", "7", kind="rare")]
    lone = next(s for s in range(40) if "rare" in _held_out(rows, s))
    with pytest.raises(InputError, match="all prompts of kind 'rare' are held out"):
        learn_reward(
            rows, model=start, config=replace(CONFIG, seed=lone), learner=LEARNER, out=tmp_path / "x", emit=None
        )  # fmt: skip


def _held_out(rows, seed):
    from plaudit.policy.online.inverse.alternating import _split

    return [d.category for d in _split(demonstrations_of(rows, category="kind"), replace(CONFIG, seed=seed))["test"]]
