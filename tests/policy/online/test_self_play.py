"""Self-play: which conjectures and proofs teach and how much, and whole runs of it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.lab.worlds.arithmetic import draw_problems
from plaudit.lab.worlds.arithmetic.conjecturing import ArithmeticSubject, written
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.offline.aligning import align
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.online.selfplay import (
    Conjecture,
    Proved,
    SelfPlayConfig,
    TextSubject,
    conjectures_kept,
    elegant,
    matching_weights,
    proof_weights,
    proofs_kept,
    self_play,
    within_cap,
)
from plaudit.policy.online.selfplay.data import Attempt, conjecturer_rows, prover_rows, scaled
from plaudit.policy.rollout import Sampling
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.likelihood.saved import write_causal
from small_policies import Sevens, policy, prompts

RATES = [0, 0.1, 0.25, 0.5, 1, float("nan")]


def test_bands_of_pass_rates():
    """Of 32 proofs: a conjecture teaches where 0 < rate < 1/4, a proof where 0 < rate <= 1/2."""
    assert conjectures_kept(RATES).tolist() == [False, True, False, False, False, False]
    assert proofs_kept(RATES).tolist() == [False, True, True, True, False, False]
    for one in (conjectures_kept, proofs_kept):
        with pytest.raises(InputError, match="high is 0; give a rate above 0"):
            one(RATES, high=0)


def test_short_and_quick_proofs_count_more():
    """exp(-0.001 * 100) / 2 = 0.452419; exp(-0.2) / 2 = 0.409365; alone exp(-0.001 * 100 - 0.01 * 30) = 0.670320."""
    found = proof_weights([100, 200, 100], ["a", "a", "b"], seconds=[0, 0, 30])
    assert found.tolist() == pytest.approx([0.452419, 0.409365, 0.670320], abs=1e-6)
    assert proof_weights([], []).size == 0
    with pytest.raises(ShapeError, match=r"lengths \(2,\) and seconds \(1,\)"):
        proof_weights([1, 2], ["a", "a"], seconds=[1])
    with pytest.raises(InputError, match=r"rates are -1 and 0\.01"):
        proof_weights([1], ["a"], per_token=-1)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_weights_of_a_statement_are_those_of_one_proof_at_most(rows):
    length, statement = zip(*rows, strict=True)
    found = proof_weights(length, statement)
    assert (np.bincount(statement, weights=found) <= 1 + 1e-12).all()
    longer = proof_weights(np.array(length) + 1, statement)
    assert (longer < found).all()


def test_the_least_elegant_of_each_lemma_go():
    """Ratios of a: 1, 2, 3, 4, 5: a fifth is one. b has four: floor(0.8) = 0. Of equal ones the last goes."""
    kept = elegant([1, 2, 3, 4, 5, 1, 1, 1, 1], [1] * 9, ["a"] * 5 + ["b"] * 4)
    assert kept.tolist() == [False] + [True] * 8
    assert elegant([2] * 5, [1] * 5, ["a"] * 5).tolist() == [True] * 4 + [False]
    assert elegant([1, 2], [1, 1], ["a", "a"], drop=0.5).tolist() == [False, True]
    with pytest.raises(InputError, match="drop is 1; give a share"):
        elegant([1], [1], ["a"], drop=1)


def test_no_lemma_fills_a_batch():
    assert within_cap(["a", "a", "b", "a"], batch=20).tolist() == [True, True, True, False]
    assert within_cap(["a", "a"], batch=5).tolist() == [True, False]
    with pytest.raises(InputError, match="batch is 0"):
        within_cap(["a"], batch=0)


def test_matching_moves_weight_to_what_is_near_the_targets():
    """Two candidates at 0 and 1, four targets at 0: each has 2/4 to give, all to the first: 2 and 0.

    With a cap of 1.5 the first is full after three and the last half goes to the other.
    """
    p, q = [[0.0], [1.0]], [[0.0]] * 4
    assert matching_weights(p, q).tolist() == [2, 0]
    assert matching_weights(p, q, cap=1.5).tolist() == [1.5, 0.5]
    assert matching_weights(p, np.zeros((0, 1))).tolist() == [1, 1]
    with pytest.raises(InputError, match=r"cap is 0\.5; give at least 1"):
        matching_weights(p, q, cap=0.5)
    with pytest.raises(ShapeError, match=r"candidates \(2, 1\) and targets \(1, 2\)"):
        matching_weights(p, [[0.0, 1.0]])


@given(st.integers(1, 7), st.integers(1, 7), st.sampled_from([1.0, 1.5, 4.0]), st.integers(0, 99))
def test_weights_are_moved_and_not_made(n, m, cap, seed):
    rng = np.random.default_rng(seed)
    p, q = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    weight = matching_weights(p, q, cap=cap)
    assert weight.sum() == pytest.approx(n)
    assert (weight <= cap + 1e-9).all()
    assert (weight >= 0).all()
    assert matching_weights(p, p, cap=cap).tolist() == pytest.approx([1] * n)


# --- subjects


def test_the_world_reads_its_own_problems():
    problems = draw_problems(200, seed=3, depth=(2, 6))
    for problem in problems:
        assert written(problem.text) == problem
    for text in ("3+4", "3+4*2", "50+50-1", "3-5+9", "03+1+1", "3+4+", "3+4+5#", "1+1+1+1+1+1+1+1", ""):
        assert written(text) is None, text
    subject = ArithmeticSubject()
    statement = subject.read("3*4+8")
    assert (statement.prompt[0].text, statement.reference) == ("3*4+8", "20")
    assert subject.read("hmm 3*4+8") is None
    assert subject.lemmas(statement, "3*4=12\n12+8=20\n#### 20") == ["+", "*"]
    assert subject.ask(Proved(statement, "", 1.0), "*")[0].text == "hmm *3*4+8"
    near = subject.embedding([statement, PromptOnly(conversation("nothing"))])
    # one sum, no difference, one product, two operations, a carry (2 + 8): over sqrt(7)
    assert near[0].tolist() == pytest.approx((np.array([1, 0, 1, 2, 1]) / math.sqrt(7)).tolist())
    assert near[1].tolist() == [0] * 5


def test_a_subject_of_texts():
    subject = TextSubject(pattern=r"(?s)Conjecture: (?P<statement>.+?) = (?P<reference>\d+)", prompt="Show {statement}")
    found = subject.read("Conjecture: a b = 12")
    assert (found.prompt[0].text, found.reference) == ("Show a b", "12")
    assert subject.read("a b = 12") is None
    assert subject.lemmas(found, "by lemma one, theorem two and lemma one") == ["one", "two"]
    asked = TextSubject().ask(Proved(found, "it holds", 1.0), "")[0].text
    assert "Show a b\nit holds" in asked
    assert "whatever you like" in asked
    near = subject.embedding([found, found, PromptOnly(conversation("zzz"))])
    assert near[0] @ near[1] == pytest.approx(1)
    assert near[0] @ near[2] < 0.5
    assert subject.fingerprint != TextSubject().fingerprint
    for changes, words in (
        ({"pattern": "("}, "is no pattern"),
        ({"pattern": "x"}, "has no group"),
        ({"template": "{stat}"}, "template cannot be filled in"),
        ({"width": 0}, "width is 0"),
    ):
        with pytest.raises(InputError, match=words):
            TextSubject(**changes)


# --- from proofs and conjectures to rows


def attempt(text, outcome, tokens=None):
    n = len(outcome)
    tokens = np.array(tokens or [10.0] * n, dtype=float)
    said = tuple(f"{text}{i}" for i in range(n))
    return Attempt(PromptOnly(conversation(text), "r"), said, tokens, np.zeros(n), np.array(outcome, dtype=float))


def test_proofs_that_teach():
    """Rates: 1/4 of what could be checked (two could not), 1, 0, and none known: only the first teaches."""
    nan = float("nan")
    given = [attempt("a", [1, 0, 0, 0, nan, nan]), attempt("b", [1] * 6), attempt("c", [0] * 6), attempt("d", [nan])]
    assert [a.rate for a in given[:3]] == [0.25, 1, 0]
    (row,) = prover_rows(given)
    assert (row.text, row.prompt[0].text) == ("a0", "a")
    assert row.meta["weight"] == pytest.approx(math.exp(-0.01))
    assert len(prover_rows(given, high=1.0)) == 7


class Letters:
    """A lemma is a letter that a proof holds; statements lie at their length."""

    fingerprint = "letters"

    def ask(self, seed, lemma):
        return conversation(f"{lemma}?{seed.statement.prompt[0].text}")

    def read(self, text):
        digits = "".join(c for c in text if c.isdigit())
        return PromptOnly(conversation(digits[:2] + "+1+1"), "x") if len(digits) > 1 else None

    def lemmas(self, statement, proof):
        return [c for c in "+-=7" if c in proof]

    def embedding(self, statements):
        return np.array([[float(len(s.prompt[0].text))] for s in statements])


def conjecture(text, lemma):
    return Conjecture(PromptOnly(conversation(text)), conversation(f"{lemma}?"), conversation("?"), text, lemma)


def test_conjectures_that_teach():
    """m is proved too often; n's proof leaves its lemma unused and is asked without it; o and p go with it.

    Targets have two letters: of the three that are kept all weight (3) goes to o, whose statement has as many, up to
    the cap of 2; the rest goes to the next, n with three letters, and nothing to p with four.
    """
    config = SelfPlayConfig(unused=0.4, inelegant=0.0, cap=2.0)
    rare = [1, 0, 0, 0, 0]
    tried = [
        (conjecture("m", "7"), attempt("7", [1, 1, 0, 0, 0])),
        (conjecture("nnn", "-"), attempt("7", rare)),
        (conjecture("oo", "7"), attempt("7", rare)),
        (conjecture("pppp", ""), attempt("7", rare)),
    ]
    rows = conjecturer_rows(tried, [PromptOnly(conversation("qq"))], subject=Letters(), config=config)
    told = {r.text: (r.prompt[0].text, r.meta["weight"]) for r in rows}
    assert told == {"nnn": ("?", 1.0), "oo": ("7?", 2.0)}
    none = replace(config, unused=0.0)
    assert "nnn" not in [r.text for r in conjecturer_rows(tried, [], subject=Letters(), config=none)]
    assert [r.meta["weight"] for r in scaled(rows)] in ([0.5, 1.0], [1.0, 0.5])
    assert conjecturer_rows(tried[:1], [], subject=Letters(), config=config) == []


# --- the fit


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    return tmp_path / "policy"


FIT = AlignConfig(algorithm="weighted-sft", learning_rate=1e-2, batch_size=8, max_length=96, warmup=0.0)


def test_a_weight_counts_as_often(tmp_path, start):
    """The loss of the first step is the weighted sum of log-probabilities over all tokens."""
    import torch

    said = ("7+", "75=")
    rows = [
        Sample(conversation("1+1"), t, meta={"weight": w}) for t, w in zip(said, (1.0, 0.25), strict=True)
    ]  # fmt: skip
    found = align(rows, model=str(start), config=FIT, out=tmp_path / "run")
    tokenizer, model, total, tokens = build_tokenizer(), policy(), 0.0, 0
    for text, weight in zip(said, (1.0, 0.25), strict=True):
        ids = tokenizer("<ask>1+1<say>" + text + "<eos>", return_tensors="pt").input_ids
        n = len(text) + 1
        logp = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1).gather(-1, ids[0, 1:, None])[-n:, 0]
        total, tokens = total - weight * float(logp.sum().detach()), tokens + n
    assert found.history[0]["loss"] == pytest.approx(total / tokens, rel=1e-5)
    assert "rejected_logp" not in found.history[0]
    assert torch.isfinite(torch.tensor(found.history[0]["chosen_logp"]))
    for bad in ({}, {"weight": 2.0}, {"weight": True}):
        with pytest.raises(InputError, match=r"row 1: weight is .*; give each row a number from 0 to 1"):
            align([Sample(conversation("1"), "2", meta=bad)], model=str(start), config=FIT, out=tmp_path / "bad")


# --- a run


class Sums(Sevens):
    """Right where the completion has a plus sign; where it has two it abstains."""

    name = fingerprint = "sums"

    def __call__(self, samples):
        self.seen += [s.prompt[0].text for s in samples]
        signs = np.array([s.text.count("+") for s in samples])
        reward = np.where(signs == 2, np.nan, (signs == 1).astype(float))
        return RewardBatch(reward, np.where(signs == 2, Outcome.ABSTAINED, 0))


PLAY = SelfPlayConfig(
    rounds=2, conjectures=12, proofs=4, seed_rate=0.0, lemma_share=1.0, low_band=1.0, high_band=1.0, inelegant=0.0
)


def played(start, out, reward=None, config=PLAY, **more):
    return self_play(
        prompts(6), model=start, reward=reward or Sums(), subject=Letters(), config=config, fit=FIT,
        sampling=Sampling(max_tokens=8), out=out, max_length=96, emit=None, **more,
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_killed(tmp_path, start, monkeypatch):
    whole = played(start, tmp_path / "whole")
    assert whole.model.endswith("policy-retrained/model")
    assert whole.conjectured[0] == (0, 0)  # nothing is proved yet
    assert whole.conjectured[1][0] > 0
    assert 0 < whole.solved[0].value <= whole.solved[1].value <= 1
    assert whole.solved[0].n == 6
    stages = tmp_path / "whole" / "stages"
    lessons = [json.loads(x) for x in (stages / "policy-retrained/lessons.jsonl").read_text().splitlines()]
    both = [n for n in (0, 1) for _ in (stages / f"policy-{n}/lessons.jsonl").read_text().splitlines()]
    assert len(lessons) == len(both)
    assert {row["teaches"] for row in lessons} >= {"prover"}
    told = json.loads((stages / "proofs-1/asked.json").read_text())
    assert told["problems"] == 6 - round(6 * whole.solved[0].value)  # what is solved is not asked again

    from plaudit.training.trainer import RewardTrainer

    step, count = RewardTrainer.training_step, iter(range(99))

    def dying(self, *args, **kwargs):
        if next(count) == 1:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(RewardTrainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        played(start, tmp_path / "killed")
    monkeypatch.setattr(RewardTrainer, "training_step", step)
    found = played(start, tmp_path / "killed")
    assert found.solved == whole.solved
    assert found.conjectured == whole.conjectured
    first, second = ((tmp_path / x / "stages/policy-retrained/model/model.safetensors") for x in ("whole", "killed"))
    assert first.read_bytes() == second.read_bytes()
    again = Sums()
    played(start, tmp_path / "killed", again)
    assert again.seen == []


@pytest.mark.slow
def test_without_conjectures_it_is_expert_iteration(tmp_path, start):
    found = played(start, tmp_path / "run", config=replace(PLAY, conjecturing=False, retrain=False))
    assert found.conjectured == ((0, 0), (0, 0))
    assert found.model.endswith("policy-1/model")


def test_where_nothing_is_proved_the_policy_stays(tmp_path, start):
    class Wrong(Sums):
        def __call__(self, samples):
            return RewardBatch(np.zeros(len(samples)))

    found = played(start, tmp_path / "run", reward=Wrong(), config=replace(PLAY, rounds=1))
    assert found.model == str(start)
    assert found.solved[0].value == 0


def test_what_cannot_be_played_is_refused(tmp_path, start):
    def refused(words, rows=None, reward=None, fit=FIT):
        with pytest.raises(InputError, match=words):
            self_play(
                prompts(3) if rows is None else rows, model=start, reward=reward or Sums(), subject=Letters(),
                config=PLAY, fit=fit, sampling=Sampling(max_tokens=8), out=tmp_path / "run", emit=None,
            )  # fmt: skip

    class Unbounded(Sums):
        bounds = (-np.inf, np.inf)

    refused("0 problems, 0 of them different", rows=[])
    refused("2 problems, 1 of them different", rows=prompts(1) * 2)
    refused("whose middle says what is right", reward=Unbounded())
    refused("the fit's algorithm is 'sft'; give weighted-sft", fit=AlignConfig(algorithm="sft"))
    for changes, words in (
        ({"rounds": 0}, "rounds is 0"),
        ({"cap": 0.5}, r"cap is 0\.5"),
        ({"low_band": 0.0}, r"low_band is 0\.0; give a share above 0"),
        ({"unused": 1.0}, r"unused is 1\.0; give a share of at least 0, below 1"),
    ):
        with pytest.raises(InputError, match=words):
            SelfPlayConfig(**changes)
