"""Stages of reinforcement learning: one is a plain run, references begin anew or stay, some are left out."""

import json

import pytest

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.online import OnlineConfig, Stage, align_in_stages
from plaudit.policy.online.entry import align_online
from plaudit.policy.online.staged import fallen
from plaudit.rewards.likelihood.saved import write_causal
from small_policies import SMALL, Sevens, policy, prompts


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


@pytest.fixture
def start(tmp_path):
    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    return tmp_path / "policy"


class Threes(Sevens):
    """Reward: the share of threes."""

    name = fingerprint = "threes"

    def one(self, text):
        return text.count("3") / max(len(text), 1)


CONFIG = OnlineConfig(**{**SMALL, "kl_coef": 0.01, "learning_rate": 1e-2})


def stages(**more):
    return [Stage("mixed", prompts(8), Sevens(), CONFIG), Stage("more", prompts(4), Threes(), CONFIG, **more)]


def history(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" in row]


def staged(given, start, out, **more):
    return align_in_stages(given, model=start, out=out, emit=None, **more)


def test_one_stage_is_a_plain_run(tmp_path, start):
    found = staged(stages()[:1], start, tmp_path / "run")
    align_online(prompts(8), model=start, reward=Sevens(), config=CONFIG, out=tmp_path / "plain")
    mine, plain = history(tmp_path / "run" / "stages" / "mixed"), history(tmp_path / "plain")
    assert [row["loss"] for row in mine] == [row["loss"] for row in plain]
    weights = [p / "model.safetensors" for p in (tmp_path / "run/stages/mixed/model", tmp_path / "plain/model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert found.model == str(tmp_path / "run" / "stages" / "mixed" / "model")


@pytest.mark.parametrize("keep", [False, True])
def test_the_reference_begins_anew_unless_it_is_kept(tmp_path, start, keep):
    staged(stages(keep_reference=keep), start, tmp_path)
    first = history(tmp_path / "stages" / "more")[0]["kl"]
    if keep:
        assert first > 0.01  # it has moved away from the start in the stage before
    else:
        assert first == pytest.approx(0, abs=1e-5)


def test_what_is_finished_is_not_run_again(tmp_path, start):
    reward, again = Sevens(), Sevens()
    given = [Stage("mixed", prompts(8), reward, CONFIG), Stage("more", prompts(4), Threes(), CONFIG)]
    whole = staged(given, start, tmp_path)
    kept = (tmp_path / "stages/more/model/model.safetensors").read_bytes()
    changed = [Stage("mixed", prompts(8), again, CONFIG), Stage("more", prompts(8), Threes(), CONFIG)]
    assert staged(changed, start, tmp_path).models == whole.models
    assert reward.seen
    assert not again.seen
    assert (tmp_path / "stages/more/model/model.safetensors").read_bytes() != kept


@pytest.mark.parametrize(("told", "ran"), [([0.5, 0.6], ["mixed"]), ([0.5, 0.4], ["mixed", "more"])])
def test_a_stage_runs_where_its_measure_has_fallen(tmp_path, start, told, ran):
    ahead = iter([*told, 0.7])
    found = staged(stages(when="threes"), start, tmp_path, measure=lambda _: {"threes": next(ahead)})
    assert [*found.models] == ran
    assert [m["threes"] for m in found.measures.values()] == [*told, 0.7][: len(ran) + 1]


def test_a_tolerance_is_what_may_be_lost():
    told = [{"a": 0.5}, {"a": 0.75}, {"a": 0.5}]
    assert fallen("a", told, tolerance=0.125)
    assert not fallen("a", told, tolerance=0.25)
    assert not fallen("a", told[:2])
    with pytest.raises(InputError, match="measure 'b' is not made; there are a"):
        fallen("b", told)
    with pytest.raises(InputError, match="measure 'a' is NaN, so nothing says whether it fell"):
        fallen("a", [{"a": 0.5}, {"a": float("nan")}])


def test_stages_that_do_not_fit_are_refused(tmp_path, start):
    one, two = stages()
    for given, words in (
        ([], r"names are \[\]; give at least one"),
        ([one, one], "all different"),
        ([Stage("more", prompts(4), Threes(), CONFIG, keep_reference=True)], "is the first, and there is no reference"),
        (
            [one, Stage("more", prompts(4), Threes(), CONFIG, when="a")],
            "waits for 'a' to fall, and nothing is measured",
        ),
        ([Stage("a", prompts(4), Threes(), OnlineConfig(reference="x")), two], "sets a reference, which stages do"),
    ):
        with pytest.raises(InputError, match=words):
            staged(given, start, tmp_path / "out")


def test_a_reference_that_nobody_asks_is_refused(tmp_path, start):
    config = OnlineConfig(**{**SMALL, "skip_kl": True, "reference": str(start)})
    with pytest.raises(InputError, match="reference is given and nothing asks it: skip_kl is set"):
        align_online(prompts(4), model=start, reward=Sevens(), config=config, out=tmp_path / "run")
