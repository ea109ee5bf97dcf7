"""Prover-verifier games: rewards by role, pairs for a verifier, and a whole game that is killed on its way."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.online import OnlineConfig
from plaudit.policy.online.games import (
    Convincing,
    GameConfig,
    Player,
    Roles,
    Solutions,
    convincingness,
    game_pairs,
    outranked,
    play,
    prover_rewards,
    round_measures,
    verifier_loss,
)
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.training import Backbone, FitConfig
from small_policies import Sevens, policy, prompts

VALUE, CORRECT, ONE = [2.0, 0.0, 1.0, -3.0], [1, 0, 0, 1], ["x"] * 4


def earned(helpful, value=VALUE, **more):
    return prover_rewards(value, CORRECT, [helpful] * 4, ONE, **more).tolist()


def test_a_helpful_prover_gains_by_what_is_right_and_convinces():
    """The mean of V is 0, so V' = V. Right and above: 2; at and below the mean: -1; wrong and above: minus V'."""
    assert earned(True) == [2, -1, -1, -1]


def test_a_sneaky_prover_has_the_other_sign_of_what_convinces():
    assert earned(False) == [-2, -1, 1, -1]


def test_a_shift_of_the_verifier_changes_nothing():
    for helpful in (True, False):
        assert earned(helpful, np.array(VALUE) + 100) == earned(helpful)


def test_the_other_designs():
    """cgc: V where right and helpful (or wrong and sneaky), else -2; goodhart: V."""
    assert earned(True, design="cgc") == [2, -2, -2, -3]
    assert earned(False, design="cgc") == [-2, 0, 1, -2]
    assert earned(True, design="goodhart") == VALUE


def test_what_could_not_be_checked_leaves_the_mean():
    """Without the last the mean of 2, 0, 1 is 1: V' = 1, -1, 0. With an unknown value the same."""
    unknown = prover_rewards(VALUE, [1, 0, 0, np.nan], [True] * 4, ONE)
    assert unknown.tolist()[:3] == [1, -1, -1]
    assert np.isnan(unknown[3])
    assert prover_rewards([2, 0, 1, np.nan], CORRECT, [True] * 4, ONE).tolist()[:3] == [1, -1, -1]


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=12))
def test_groups_do_not_touch_each_other(rows):
    value, correct, helpful, group = (np.array(x) for x in zip(*rows, strict=True))
    whole = prover_rewards(value, correct, helpful, group)
    for g in set(group.tolist()):
        here = group == g
        alone = prover_rewards(value[here], correct[here], helpful[here], group[here])
        assert whole[here] == pytest.approx(alone, abs=1e-9)
        assert convincingness(value[here], group[here]).sum() == pytest.approx(0, abs=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="design 'srg' is not known; did you mean 'src'"):
        earned(True, design="srg")
    with pytest.raises(InputError, match=r"an outcome is 0\.5; give 1 for right, 0 for wrong, NaN for not known"):
        prover_rewards([1.0], [0.5], [True], ["x"])
    with pytest.raises(ShapeError, match=r"scores \(1,\), outcomes \(2,\) and roles \(1,\)"):
        prover_rewards([1.0], [0, 1], [True], ["x"])


def test_the_verifiers_loss():
    """-log sigmoid(2) = 0.126928; half of 0.5 times (1 + 1) is 0.5."""
    right, wrong = torch.tensor([1.0]), torch.tensor([-1.0])
    assert float(verifier_loss(right, wrong, coef=0.5)) == pytest.approx(0.126928 + 0.5, abs=1e-6)
    with pytest.raises(InputError, match="coef is -1"):
        verifier_loss(right, wrong, coef=-1)
    with pytest.raises(ShapeError, match=r"\(1,\) right and \(2,\) wrong"):
        verifier_loss(right, torch.zeros(2))


def test_the_squares_bring_the_mean_to_nothing():
    """The least loss of a free table of scores: without the squares the mean stays where it began."""
    for coef, mean in ((0.1, 0.0), (0.0, 3.0)):
        table = torch.full((6, 2), 3.0, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([table], max_iter=20, line_search_fn="strong_wolfe")

        def closure(table=table, optimiser=optimiser, coef=coef):
            optimiser.zero_grad()
            loss = verifier_loss(table[:, 0], table[:, 1], coef=coef)
            loss.backward()
            return loss

        optimiser.step(closure)
        assert float(table.detach().mean()) == pytest.approx(mean, abs=1e-4)
        assert (table[:, 0] > table[:, 1]).all()


# --- roles


def test_the_verifier_sees_the_plain_prompt():
    rows = [PromptOnly(conversation("1+1"), "2", {"a": 1})]
    told = Roles("good: ", "bad: ").asked(rows)
    assert [(r.prompt[-1].text, r.meta["role"], r.reference) for r in told] == [
        ("good: 1+1", "helpful", "2"),
        ("bad: 1+1", "sneaky", "2"),
    ]
    sample = Sample(told[1].prompt, "3", "2", meta=told[1].meta)
    plain = Roles("good: ", "bad: ").plain(sample)
    assert (plain.prompt, plain.meta, plain.text) == (rows[0].prompt, {"a": 1}, "3")
    with pytest.raises(InputError, match="a helpful prompt begins with 'bad: 1"):
        Roles("good: ", "bad: ").plain(replace(sample, meta={"role": "helpful"}))
    with pytest.raises(InputError, match="a sample has the role None"):
        Roles().plain(replace(sample, meta={}))
    with pytest.raises(InputError, match="both roles are told 'x'"):
        Roles("x", "x")
    with pytest.raises(InputError, match="row 1 has a column 'role'"):
        Roles().asked([replace(rows[0], meta={"role": "judge"})])
    with pytest.raises(InputError, match="no user message"):
        Roles().asked([PromptOnly(conversation([{"role": "system", "content": "x"}]))])


class Told:
    """A reward that says what it is told to, by the completion."""

    scope, bounds = "sample", (0.0, 1.0)

    def __init__(self, said, name="told"):
        self.said, self.name, self.fingerprint, self.seen = said, name, name, []

    def __call__(self, samples):
        self.seen += [s.prompt[-1].text for s in samples]
        found = [self.said[s.text] for s in samples]
        outcome = np.array([x if isinstance(x, Outcome) else Outcome.SCORED for x in found], dtype=np.int8)
        reward = [0.0 if x is Outcome.POLICY_FAULT else np.nan if isinstance(x, Outcome) else x for x in found]
        return RewardBatch(np.array(reward, dtype=float), outcome)


def asked_as(role, texts, roles):
    (row,) = roles.asked([PromptOnly(conversation("q"), "2")], (role,))
    return [Sample(row.prompt, t, "2", group="g", meta=row.meta) for t in texts]


def test_outcomes_of_checker_and_verifier_are_respected():
    """a, b, c count: scores 3, 1, 2 have the mean 2. d abstains, e times out by the verifier, f has no answer."""
    roles = Roles("h ", "s ")
    score = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 9.0, "e": Outcome.TIMED_OUT, "f": 2.0}
    right = {"a": 1.0, "b": 0.0, "c": 0.0, "d": Outcome.ABSTAINED, "e": Outcome.ABSTAINED, "f": Outcome.POLICY_FAULT}
    checker = Told(right, "checker")
    made = Convincing(Told(score, "verifier"), checker, roles)
    batch = made(asked_as("helpful", "abcdef", roles))
    assert batch.reward[:3].tolist() == [1, -1, -1]
    assert np.isnan(batch.reward[3:5]).all()
    assert batch.reward[5] == made.bounds[0] == -5
    assert [Outcome(o).name for o in batch.outcome[3:]] == ["ABSTAINED", "TIMED_OUT", "POLICY_FAULT"]
    assert set(checker.seen) == {"q"}  # without what the prover was told
    assert batch.aspects["correct"][:3].tolist() == [1, 0, 0]
    # a sneaky prover that gives no answer has not given a wrong one
    assert made(asked_as("sneaky", "abcdef", roles)).reward[[0, 5]].tolist() == [-1, -5]


def test_losses_end_at_the_floor():
    """A helpful prover's wrong solution that convinces 10 above the mean would lose 10."""
    roles = Roles("h ", "s ")
    made = Convincing(Told({"a": 20.0, "b": 0.0}), Told({"a": 0.0, "b": 1.0}), roles, floor=-3)
    assert made(asked_as("helpful", "ab", roles)).reward.tolist() == [-3, -1]
    unbounded = Told({})
    unbounded.bounds = (-np.inf, np.inf)
    with pytest.raises(InputError, match="whose middle says what is right"):
        Convincing(made.verifier, unbounded, roles)
    with pytest.raises(InputError, match="floor is -1; give a number of at most -2 for cgc"):
        Convincing(made.verifier, made.checker, roles, design="cgc", floor=-1)
    assert made.fingerprint != Convincing(made.verifier, made.checker, roles).fingerprint


# --- pairs and measures


def solutions(rows):
    """Rows of prompt, text, correct, source."""
    q, text, correct, source = zip(*rows, strict=True)
    samples = tuple(Sample(conversation(p), t) for p, t in zip(q, text, strict=True))
    return Solutions(samples, np.array(correct, dtype=float), source)


def test_pairs_are_right_above_wrong_of_one_prompt():
    nan = float("nan")
    given = solutions([
        ("p", "r1", 1, "start"), ("p", "r1", 1, "helpful-0"), ("p", "w1", 0, "sneaky-0"), ("p", "u", nan, "start"),
        ("q", "r2", 1, "start"), ("z", "r3", 1, "start"), ("z", "r4", 1, "start"), ("z", "w2", 0, "start"),
    ])  # fmt: skip
    found = game_pairs(given, seed=1)
    assert sorted((p.prompt[0].text, p.rejected) for p in found) == [("p", "w1"), ("z", "w2")]
    assert {p.chosen for p in found} <= {"r1", "r3", "r4"}
    assert found[0].meta == {"right_from": "start", "wrong_from": "sneaky-0"}
    with pytest.raises(InputError, match=r"no prompt has a right and a wrong solution \(1 right, 0 wrong, 1 not known"):
        game_pairs(solutions([("p", "r", 1, "start"), ("p", "u", nan, "start")]))


def test_sources_take_turns():
    """Nine wrong solutions of the start and one of the sneaky prover: of two pairs the sneaky one is in one."""
    rows = [("p", f"w{i}", 0, "start") for i in range(9)] + [("p", "s", 0, "sneaky-0")]
    rows += [("p", f"r{i}", 1, "start") for i in range(9)]
    for seed in range(5):
        found = game_pairs(solutions(rows), most=2, seed=seed)
        assert len(found) == 2
        assert sorted(p.meta["wrong_from"] for p in found) == ["sneaky-0", "start"]


def test_pairs_of_one_prompt_are_counted():
    """p: 3 beats 1 and ties 3; q: 5 loses against 6: 1.5 of 3. What has no score is in no pair."""
    score = np.array([3.0, 1.0, 3.0, 5.0, 6.0, np.nan])
    good = np.array([1, 0, 0, 1, 0, 0], dtype=bool)
    found = outranked(score, good, ~good, ["p", "p", "p", "q", "q", "q"])
    assert found.value == pytest.approx(0.5)
    assert found.n == 2
    assert np.isnan(outranked(score, good, np.zeros(6, dtype=bool), ["p"] * 6).value)


def test_measures_of_a_round():
    given = solutions([
        ("p", "hr", 1, "helpful"), ("p", "hw", 0, "helpful"), ("p", "sw", 0, "sneaky"), ("p", "su", np.nan, "sneaky"),
        ("q", "hr", 1, "helpful"), ("q", "sw", 0, "sneaky"),
    ])  # fmt: skip
    verifier = Told({"hr": 2.0, "hw": 1.0, "sw": 3.0, "su": 0.0})
    reader = Told({"hr": 2.0, "hw": 3.0, "sw": 1.0, "su": 0.0})
    found = {k: v.value for k, v in round_measures(given, verifier=verifier, reader=reader).items()}
    assert found == {
        "helpful_right": pytest.approx(2 / 3), "sneaky_right": 0, "unchecked": pytest.approx(1 / 6),
        "told_apart": 1, "robust": 0, "legible": 0, "legible_against_sneaky": 1,
    }  # fmt: skip


# --- a game


class Even(Sevens):
    """Right where the completion has an even number of characters; of five in twenty it abstains."""

    name = fingerprint = "even"

    def __call__(self, samples):
        self.seen += [s.prompt[-1].text for s in samples]
        lost = np.array([len(s.text) % 20 == 7 for s in samples])
        reward = np.array([float(len(s.text) % 2 == 0) for s in samples])
        return RewardBatch(np.where(lost, np.nan, reward), np.where(lost, Outcome.ABSTAINED, 0))


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    return tmp_path / "policy"


GAME = GameConfig(rounds=2, solutions=4, pairs=2, helpful="+", sneaky="-")
TINY = Backbone(width=16, layers=1, heads=2, vocabulary=300)
PLAYER = Player(
    OnlineConfig(
        batch_size=4, completions=3, max_tokens=8, learning_rate=1e-2, max_length=64, warmup=0.0, kl_coef=0.01,
        save_steps=1,
    ),
    FitConfig(learning_rate=1e-2, center_coef=0.01, max_length=64), TINY, TINY,
)  # fmt: skip


def played(start, out, checker=None, config=GAME, rows=20, **more):
    return play(
        prompts(rows), model=start, checker=checker or Even(), config=config, player=PLAYER, out=out, emit=None, **more
    )


@pytest.mark.slow
def test_a_game_is_played_and_goes_on_after_a_kill(tmp_path, start, monkeypatch):
    whole = played(start, tmp_path / "whole")
    assert len(whole.rounds) == 2
    assert set(whole.rounds[1]) >= {"robust", "legible", "helpful_right", "unchecked"}
    names = ("solutions-0", "reader-0", "verifier-0", "provers-0", "measures-0", "solutions-1", "provers-1")
    assert all((tmp_path / "whole" / "stages" / name / "done.json").exists() for name in names)
    rows = [json.loads(x) for x in (tmp_path / "whole/stages/solutions-1/solutions.jsonl").read_text().splitlines()]
    assert {row["role"] for row in rows} == {"helpful", "sneaky"}
    assert {row["outcome"] for row in rows} >= {"scored"}
    record = json.loads((tmp_path / "whole/stages/provers-1/model/alignment.json").read_text())
    assert record["config"]["reference"] == str(start)  # the KL is to the start

    # killed in the second step of the first provers: sampled and judged solutions are there, and are not paid again
    from plaudit.policy.online.trainer import OnlineTrainer

    step, count = OnlineTrainer.training_step, iter(range(99))

    def dying(self, *args, **kwargs):
        if next(count) == 1:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(OnlineTrainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        played(start, tmp_path / "killed")
    monkeypatch.setattr(OnlineTrainer, "training_step", step)
    again = Even()
    found = played(start, tmp_path / "killed", again)
    for mine, theirs in zip(found.rounds, whole.rounds, strict=True):
        assert {k: v.value for k, v in mine.items()} == pytest.approx(
            {k: v.value for k, v in theirs.items()}, nan_ok=True
        )
    quiet = Even()
    played(start, tmp_path / "killed", quiet)
    assert quiet.seen == []  # everything is there


@pytest.mark.slow
def test_a_longer_game_goes_on(tmp_path, start):
    short = played(start, tmp_path, config=replace(GAME, rounds=1))
    longer = played(start, tmp_path)
    assert longer.rounds[0] == short.rounds[0]
    assert longer.prover.endswith("provers-1/model")


def test_games_that_cannot_be_played_are_refused(tmp_path, start):
    for player, words in (
        (Player(OnlineConfig(algorithm="pref-grpo")), "does not learn from a reward alone"),
        (Player(OnlineConfig(reference="x")), "sets a reference, which the game does"),
    ):
        with pytest.raises(InputError, match=words):
            play(prompts(9), model=start, checker=Even(), config=GAME, player=player, out=tmp_path, emit=None)
    for changes, words in (
        ({"rounds": 0}, "rounds is 0; give at least 1"),
        ({"design": "sr"}, "design 'sr' is not known"),
        ({"floor": 0.0}, r"floor is 0\.0; give at most -1"),
        ({"mixture": "al"}, "mixture 'al' is not known"),
        ({"verifier_share": 0.9}, "leave some prompts to the provers"),
        ({"helpful": "-"}, "both roles are told"),
    ):
        with pytest.raises(InputError, match=words):
            replace(GAME, **changes)


@pytest.mark.parametrize(("mixture", "sources"), [("all", 2), ("last", 1), ("start", 0)])
def test_whose_solutions_a_verifier_learns_from(tmp_path, start, mixture, sources):
    from plaudit.policy.online.games.playing import _Game
    from plaudit.rewards.files import write_scored

    game = _Game({}, str(start), Even(), replace(GAME, mixture=mixture), PLAYER, tmp_path, None)
    for n, meta in ((0, ["start"]), (1, ["helpful", "sneaky"]), (2, ["helpful", "sneaky"])):
        told = {"start": "", "helpful": "+", "sneaky": "-"}
        samples = [Sample(conversation(told[m] + "1+1"), f"x{n}", meta={"role": m}) for m in meta]
        game.stage("solutions", n).mkdir(parents=True)
        write_scored(game.stage("solutions", n) / "solutions.jsonl", samples, RewardBatch(np.ones(len(samples))))
    found = game._mixture(2)
    later = {"helpful-0", "sneaky-0", "helpful-1", "sneaky-1"}
    assert {"start"} <= set(found.source) or mixture == "last"
    assert len({s.partition("-")[2] for s in set(found.source) & later}) == sources
    assert {s.prompt[0].text for s in found.samples} == {"1+1"}
