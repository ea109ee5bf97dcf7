"""Direct alignment in rounds, end to end on a tiny policy: what each round asks, learns from, and keeps."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.policy.algorithms import algorithm
from plaudit.policy.offline import rounds as module
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.offline.rounds import RoundsConfig, align_in_rounds
from plaudit.policy.online.experience import Experience
from plaudit.policy.rollout import Sampling
from plaudit.records import Message, Sample, read
from plaudit.records.rows import PromptOnly
from plaudit.rewards.base import Outcome, RewardBatch

PROMPTS = [PromptOnly((Message("user", f"question {i}"),)) for i in range(4)]
SAMPLING = Sampling(completions=4, max_tokens=8)


@dataclass(frozen=True)
class Letters:
    """How often a completion says `o`; counts its calls."""

    name, scope, bounds, fingerprint = "letters", "sample", (0.0, 100.0), "letters"
    seen: list

    def __call__(self, samples):
        self.seen.extend(samples)
        return RewardBatch(np.array([float(s.text.count("o")) for s in samples]))


def run(tiny, out, name, *, reward=None, rounds=2, prompts=0, pairs="extremes", **changes):
    config = AlignConfig(algorithm=name, **({"learning_rate": 1e-3, "batch_size": 4, "max_length": 600} | changes))
    return align_in_rounds(
        PROMPTS, model=tiny, reward=reward, config=config, rounds=RoundsConfig(rounds, prompts, pairs),
        sampling=SAMPLING, out=out, emit=None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["raft", "superhf", "dpo", "sppo", "inpo?eta=0.5&tau=0.1", "prdp", "gpo", "kto"])
def test_rounds(name, tiny, tmp_path):
    reward = Letters([])
    found = run(tiny, tmp_path, name, reward=reward)
    assert len(reward.seen) == 2 * 4 * 4  # two rounds of four prompts with four completions
    for number, one in enumerate(found):
        folder = tmp_path / "stages" / f"round-{number}"
        assert one.model == str(folder / "model")
        rows = read(folder / "samples.jsonl").rows
        assert one.reward.value == pytest.approx(np.mean([s.text.count("o") for s in rows]))
        assert one.reward.low <= one.reward.value <= one.reward.high
        record = json.loads((folder / "model" / "alignment.json").read_text())
        assert record["base"] == (tiny if number == 0 else found[0].model)
        # what is held to the beginning of all, and what only to that of its round
        kept = name.partition("?")[0] in ("superhf", "inpo", "prdp")
        expected = None if name == "raft" else tiny if kept or not number else found[0].model
        assert record["reference"] == expected


def test_a_round_begins_where_the_last_one_ended(tiny, tmp_path):
    found = run(tiny, tmp_path / "a", "raft", reward=Letters([]), learning_rate=3e-2, epochs=10.0)
    first, second = (read(tmp_path / "a" / "stages" / f"round-{n}" / "samples.jsonl").rows for n in (0, 1))
    assert [s.text for s in first] != [s.text for s in second]
    assert found[1].reward.value > found[0].reward.value  # what was best was learnt


def test_finished_rounds_are_not_run_again_and_more_go_on(tiny, tmp_path):
    run(tiny, tmp_path, "raft", reward=Letters([]), rounds=1)
    again = Letters([])
    found = run(tiny, tmp_path, "raft", reward=again, rounds=2)
    assert len(found) == 2
    assert len(again.seen) == 16  # of the second round alone
    third = Letters([])
    run(tiny, tmp_path, "raft?keep=2", reward=third, rounds=1)
    assert len(third.seen) == 16  # another algorithm is another run


def test_a_killed_round_pays_for_nothing_twice(tiny, tmp_path, monkeypatch):
    reward = Letters([])

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "align", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, tmp_path, "dpo", reward=reward, rounds=1)
    assert len(reward.seen) == 16
    run(tiny, tmp_path, "dpo", reward=reward, rounds=1)
    assert len(reward.seen) == 16


def test_prompts_in_turn(tiny, tmp_path):
    reward = Letters([])
    run(tiny, tmp_path, "raft", reward=reward, rounds=2, prompts=3)
    asked = [s.prompt[0].text for s in reward.seen[::4]]
    assert asked == ["question 0", "question 1", "question 2", "question 3", "question 0", "question 1"]


def test_a_policy_that_rewards_itself(tiny, aligned, preferences, tmp_path):
    other = str(aligned(preferences(), tmp_path / "other", "sft").folder)
    own = "likelihood/ratio?policy={policy}&reference=" + other
    found = run(tiny, tmp_path / "run", "cream", reward=own)
    assert len(found) == 2
    record = json.loads((tmp_path / "run" / "stages" / "round-1" / "model" / "alignment.json").read_text())
    assert record["base"] == found[0].model
    with pytest.raises(InputError, match="cream compares the rankings of the policy and of the one before it"):
        run(tiny, tmp_path / "b", "cream", reward=Letters([]))


def test_a_policy_that_judges_itself_needs_no_reward(tiny, tmp_path):
    (one,) = run(tiny, tmp_path, "scir", rounds=1)
    assert one.reward.n == 0
    assert one.line(0) == "round 0: no reward before it; 4 of 4 prompts taught"
    with pytest.raises(InputError, match="scir judges its completions itself; leave --reward out"):
        run(tiny, tmp_path / "b", "scir", reward=Letters([]))


def experience(rewards, outcomes=None, texts=None, each=2):
    """So many completions of each of several prompts."""
    samples = [Sample((Message("user", f"q{i // each}"),), (texts or "abcdefgh")[i]) for i in range(len(rewards))]
    rollouts = tuple(tuple([None] * each) for _ in range(len(rewards) // each))
    batch = RewardBatch(np.array(rewards), None if outcomes is None else np.array(outcomes, dtype=np.int8))

    class Said(Experience):
        samples = property(lambda _: samples)

    return Said((), rollouts, batch, {})


def test_what_has_no_reward_teaches_nothing():
    nan = float("nan")
    # no reward of one; equal ones; a fault of its own at the floor against a good one
    said = experience([1.0, nan, 2.0, 2.0, -5.0, 1.0], [0, Outcome.TIMED_OUT, 0, 0, Outcome.POLICY_FAULT, 0])
    (row,) = module._taught(said, algorithm("dpo"), "extremes", None)
    assert (row.completions, row.scores) == (("f", "e"), (1.0, -5.0))
    shown = module._taught(said, algorithm("raft"), "extremes", None)
    assert [r.completions for r in shown] == [("a",), ("c", "d"), ("e", "f")]
    measured = module._measured(said, True)
    # by hand: the mean of 1, 2, 2, -5 and 1
    assert measured["value"] == pytest.approx(0.2)
    assert measured["outcomes"] == {"timed_out": 1}
    # one text, judged twice with noise, is no pair
    assert module._taught(experience([1.0, 2.0], texts="xx"), algorithm("dpo"), "extremes", None) == []


def test_labels_of_a_round():
    # mean 2.2: the best and the worst, or whatever is above and below it
    said = experience([1.0, 3.0, 4.0, 2.0, 1.0, 2.5], each=6)
    (row,) = module._taught(said, algorithm("kto"), "extremes", None)
    assert (row.completions, row.scores) == (("c", "a"), (1.0, 0.0))
    (row,) = module._taught(said, algorithm("kto"), "all", None)
    assert dict(zip(row.completions, row.scores, strict=True)) == {"a": 0, "b": 1, "c": 1, "d": 0, "e": 0, "f": 1}
    # neither wanted nor not: at the mean, and without a reward
    said = experience([1.0, 2.0, 3.0, float("nan")], [0, 0, 0, Outcome.ABSTAINED], each=4)
    (row,) = module._taught(said, algorithm("kto"), "all", None)
    assert (row.completions, row.scores) == (("a", "c"), (0.0, 1.0))
    assert module._taught(experience([1.0, 1.0]), algorithm("kto"), "all", None) == []
    assert module._taught(experience([1.0, 2.0], texts="xx"), algorithm("kto"), "extremes", None) == []


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "sft",
            {"reward": "verify/math"},
            "rounds: sft learns from samples.*which a reward on completions does not make",
        ),
        ("dpo", {}, "rounds: dpo needs a reward that says what completions are worth"),
        ("dpo", {"reward": Letters([]), "rounds": 0}, "rounds is 0"),
        ("dpo", {"reward": Letters([]), "pairs": "some"}, "pairs 'some' is not known; give extremes or all"),
    ],
)
def test_what_cannot_be_iterated(name, options, text, tiny, tmp_path):
    with pytest.raises(InputError, match=text):
        run(tiny, tmp_path, name, **options)


def test_nothing_to_learn(tiny, tmp_path):
    class Same(Letters):
        def __call__(self, samples):
            return RewardBatch(np.zeros(len(samples)))

    with pytest.raises(InputError, match="round 0: none of 4 prompts has completions of different rewards"):
        run(tiny, tmp_path, "dpo", reward=Same([]))


def test_the_command(tiny, tmp_path, capsys, monkeypatch):
    data = tmp_path / "prompts.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"question {i}"}) + "\n" for i in range(3)))
    base = ["align", str(data), "--model", tiny, "--out", str(tmp_path / "out"), "--max-length", "96"]
    rounds = ["--rounds", "2", "--completions", "3", "--max-tokens", "6", "--learning-rate", "1e-3"]
    assert main([*base, "--algorithm", "raft", "--reward", "rule/length?target=20", *rounds]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("round 0: reward ")
    assert lines[-1].startswith(f"saved {tmp_path}/out/stages/round-1/model")
    assert main([*base, "--algorithm", "raft", "--reward", "rule/length"]) == 2
    assert "with --rounds N" in capsys.readouterr().err
    assert main([*base, "--algorithm", "raft", "--round-pairs", "all"]) == 2
    assert "--round-pairs has no effect without --rounds N" in capsys.readouterr().err
    assert main([*base, "--algorithm", "grpo", "--reward", "rule/length", "--rounds", "2"]) == 2
    assert "--rounds has no effect on grpo, which samples in every step" in capsys.readouterr().err
    assert main([*base, "--algorithm", "raft", "--reward", "rule/length", "--rounds", "2", "--kl-coef", "1"]) == 2
    assert "--kl-coef has no effect on raft" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*base, "--algorithm", "raft", "--reward", "rule/length", *rounds]) == 2
    assert "--rounds runs in one process" in capsys.readouterr().err
