"""A run that is killed goes on as if nothing had happened, and pays for nothing twice; two processes are one."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from plaudit.errors import IntegrityError, PlauditError
from plaudit.policy.online import alarms
from plaudit.policy.online.methods import online
from plaudit.policy.online.trainer import OnlineTrainer
from plaudit.policy.rollout import LocalSampler
from plaudit.shaping.combine import Combined, Term
from plaudit.shaping.constraints import open_constrained
from plaudit.shaping.transforms import MinMax, RunningClip, Shaped, Standardise
from small_policies import MoreSevens, Sevens, losses, run, weights


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Pulled(Exception):
    """The plug."""


def breaking(after):
    """Samplers that fail in the call of that number, when a part of a batch has been drawn."""

    class Breaking:
        calls = 0

        def __init__(self, model, encoder):
            self.inner = LocalSampler(model, encoder)

        def __call__(self, questions, sampling, **rest):
            type(self).calls += 1
            if type(self).calls > after:
                raise Pulled
            return self.inner(questions, sampling, **rest)

    return Breaking


class Odd(Sevens):
    """Right where the completion has an odd number of characters."""

    def one(self, text):
        return float(len(text) % 2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """`undisturbed(name, reward, ...)`: a run to its end, its folder, what was judged; tests of one name share it."""
    found = {}

    def once(name, reward, shaped=lambda r: r, **options):
        if name not in found:
            out = tmp_path_factory.mktemp("whole")
            found[name] = run(out, reward=shaped(reward), **options), out, sorted(reward.seen)
        return found[name]

    return once


OPTIONS = {"rows": 8, "epochs": 3, "passes": 2, "save_steps": 3, "sequences": 6, "kl_coef": 0.05, "kl_target": 1.0}


@pytest.mark.parametrize("after", [3, 5, 8])
def test_a_run_that_broke_off_ends_as_an_undisturbed_one(tmp_path, after, undisturbed):
    # batches of four prompts are drawn two at a time: after 3 and 5 calls one lies half drawn
    first, second = Sevens(), Sevens()
    whole, _, seen = undisturbed("sevens", Sevens(), **OPTIONS)
    with pytest.raises(Pulled):
        run(tmp_path / "broken", reward=first, sampler=breaking(after), **OPTIONS)
    again = run(tmp_path / "broken", reward=second, **OPTIONS)
    assert losses(again) == losses(whole)
    assert [row["kl"] for row in again.history if "kl" in row] == [row["kl"] for row in whole.history if "kl" in row]
    for name, weight in weights(again).items():
        assert bool((weight == weights(whole)[name]).all()), name
    # nothing was judged twice, and nothing left out
    assert len(first.seen) > 0
    assert sorted(first.seen + second.seen) == seen


class Flaky(Sevens):
    """Has no idea of what begins with 1, 2 or 3."""

    def one(self, text):
        if text.startswith(("1", "2", "3")):
            raise ValueError("no idea")
        return super().one(text)


@pytest.mark.parametrize("after", [3, 5, 8])
def test_what_went_wrong_before_it_broke_off_is_counted(tmp_path, after, undisturbed):
    whole, folder, _ = undisturbed("flaky", Flaky(), **OPTIONS)
    lost = [json.loads(line)["outcome"] for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert whole.faults == {"ValueError: no idea": len([o for o in lost if o == "instrument_fault"])}
    assert whole.faults["ValueError: no idea"] > 0
    with pytest.raises(Pulled):
        run(tmp_path / "broken", reward=Flaky(), sampler=breaking(after), **OPTIONS)
    assert run(tmp_path / "broken", reward=Flaky(), **OPTIONS).faults == whole.faults


def nested(reward):
    """Two rewards, each by its own running statistics, and their sum within a running clip."""
    terms = (Term(Shaped(reward, MinMax()), 2.0), Term(Shaped(Odd(), Standardise(rate=0.1)), 1.0))
    return Shaped(Combined(terms), RunningClip(width=1.5))


def held(reward):
    """Two rewards, each held at its point."""
    return open_constrained(
        [{"reward": reward, "threshold": 0.9}, {"reward": Odd(), "threshold": 0.2}], kind="equal", rate=1.0
    )


@pytest.mark.parametrize("shaped", [nested, held])
@pytest.mark.parametrize("after", [3, 5, 8])
def test_statistics_of_the_shaping_go_on_too(tmp_path, after, shaped, undisturbed):
    first, second = Sevens(), Sevens()
    whole, _, seen = undisturbed(shaped.__name__, Sevens(), shaped, **OPTIONS)
    with pytest.raises(Pulled):
        run(tmp_path / "broken", reward=shaped(first), sampler=breaking(after), **OPTIONS)
    again = run(tmp_path / "broken", reward=shaped(second), **OPTIONS)
    assert losses(again) == losses(whole)
    for name, weight in weights(again).items():
        assert bool((weight == weights(whole)[name]).all()), name
    assert sorted(first.seen + second.seen) == seen
    # the statistics did learn: a range that was never seen makes all rewards 1/2, and no loss of them
    assert any(row["loss"] != 0 for row in whole.history[1:] if "loss" in row)


BESIDE = {
    "ppo": ("ppo?value_rate=3", {}, "value_head.safetensors"),
    "ppo with adapters": ("ppo?value_rate=3", {"lora_rank": 2}, "value_head.safetensors"),
    "prime": ("prime?low=0&high=1&process_rate=1e-3", {}, "process/model.safetensors"),
    "oreal": ("oreal", {}, "model/model.safetensors"),
    "oreal-tokens": ("oreal-tokens?token_rate=1e-3&token_first=1", {}, "token_model/model.safetensors"),
    "its head": ("oreal-tokens?token_rate=1e-3&token_first=1", {}, "token_model/token_head.safetensors"),
    "pref-grpo": ("pref-grpo", {}, "model/model.safetensors"),
    "online-inpo": ("online-inpo", {}, "model/model.safetensors"),
}


@pytest.mark.parametrize("after", [3, 6])
@pytest.mark.parametrize("case", BESIDE)
def test_what_is_fitted_beside_the_policy_goes_on_too(tmp_path, case, after, undisturbed):
    """The checkpoint at step 3 lies between two passes over a batch: values and token rewards must be those of then."""
    name, more, file = BESIDE[case]
    method, options = online(name)[1], {**OPTIONS, **more}
    reward, first, second = (MoreSevens() if method.compares else Odd() for _ in range(3))
    whole, folder, seen = undisturbed(f"{name} {more}", reward, method=method, **options)
    with pytest.raises(Pulled):
        run(tmp_path / "broken", reward=first, method=method, sampler=breaking(after), **options)
    again = run(tmp_path / "broken", reward=second, method=method, **options)
    assert losses(again) == losses(whole)
    for name, weight in weights(again).items():
        assert bool((weight == weights(whole)[name]).all()), name
    assert (tmp_path / "broken" / file).read_bytes() == (folder / file).read_bytes()
    assert first.seen
    assert sorted(first.seen + second.seen) == seen  # nothing was judged or compared twice


def test_batches_that_were_lost_before_a_kill_still_count(tmp_path, monkeypatch):
    class Broken(Sevens):
        def __call__(self, samples):
            raise ConnectionError("no route to the judge")

    options = {"rows": 8, "epochs": 4, "save_steps": 1}
    collected, made = [], OnlineTrainer._collected
    monkeypatch.setattr(OnlineTrainer, "_collected", lambda self, *a, **k: collected.append(1) or made(self, *a, **k))
    monkeypatch.setattr(alarms, "LONGEST", 3)
    with pytest.raises(Pulled):  # two batches, and no third
        run(tmp_path, reward=Broken(), sampler=breaking(2), **options)
    collected.clear()
    with pytest.raises(PlauditError, match="no completion of the last 3 batches has a reward"):
        run(tmp_path, reward=Broken(), **options)
    assert len(collected) == 1


def test_another_run_does_not_take_over_what_lies_there(tmp_path):
    with pytest.raises(Pulled):
        run(tmp_path, sampler=breaking(1), **OPTIONS)
    with pytest.raises(IntegrityError, match="fingerprint"):
        run(tmp_path, **{**OPTIONS, "kl_coef": 0.5})


KILLED = """
import gc, os, sys
os.environ["PLAUDIT_QUIET"] = "1"
from plaudit.shaping.combine import Combined, Term
from plaudit.shaping.transforms import MinMax, RunningClip, Shaped, Standardise
from small_policies import Sevens, run, losses
options = {"rows": 8, "epochs": 4, "passes": 2, "save_steps": 2, "sequences": 6}
run(sys.argv[1], **options)  # once here, so that what is imported and cached is there for every child
gc.collect()
gc.freeze()  # a child that collects would copy every page of what it shares
print("ready", flush=True)
while True:
    folder = sys.stdin.readline().strip()
    if not folder:
        break
    child = os.fork()
    if not child:
        found = run(folder, **options)
        with open(folder + "/losses.txt", "w") as out:
            out.write(repr(losses(found)))
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print("done" if status == 0 else "killed", flush=True)
"""


def test_twenty_kills_at_random_instants_change_nothing(tmp_path):
    tests = os.path.dirname(__file__).rsplit("/policy", 1)[0]
    environment = {**os.environ, "PYTHONPATH": tests, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "warm")], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip

        def ended(folder, seconds=None):
            """Whether a run came to its end before it was killed, so many seconds after its start."""
            server.stdin.write(f"{folder}\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                with contextlib.suppress(ProcessLookupError):  # it may have ended by itself before
                    os.kill(child, signal.SIGKILL)
            return server.stdout.readline().strip() == "done"

        assert server.stdout.readline().strip() == "ready"
        clock = time.monotonic()
        assert ended(tmp_path / "whole")
        seconds = time.monotonic() - clock  # the instants lie in the work, however fast the machine is
        draw, kills, runs = random.Random(0), 0, [tmp_path / "run-0"]
        while kills < 20:
            if not ended(runs[-1], draw.uniform(0, seconds)):
                kills += 1
            else:
                runs.append(tmp_path / f"run-{len(runs)}")
        assert ended(runs[-1])
        assert ended(tmp_path / "again")
        server.stdin.close()
    expected = (tmp_path / "whole/losses.txt").read_text()
    # in a process like theirs: this one may round otherwise, whatever ran in it before
    assert expected == (tmp_path / "again/losses.txt").read_text()
    assert {(one / "losses.txt").read_text() for one in runs} == {expected}


SCRIPT = """
import json, os, sys
from small_policies import Sevens, run
from plaudit.policy.online.methods import online
class Flaky(Sevens):
    def one(self, text):
        if text.startswith(("1", "2", "3")):
            raise ValueError("no idea")
        return super().one(text)
found = run(sys.argv[1], reward=Flaky(), rows=8, epochs=2, batch_size=int(sys.argv[2]), kl_coef=0.05, passes=2,
            tokens_per_row=60, method=online(sys.argv[3])[1])
if os.environ.get("RANK", "0") == "0":
    told = {"history": found.history, "faults": found.faults}
    open(sys.argv[1] + "/told.json", "w").write(json.dumps(told))
"""
ELSEWHERE = ("grad_norm", "learning_rate", "epoch", "step")
"""Numbers of a history that are not those of the run's own watch."""


@pytest.mark.parametrize("method", ["grpo?weights=token", "ppo?whiten=false&value_rate=5"])
def test_two_processes_equal_one_with_twice_the_batch(launched, tmp_path, method):
    script = tmp_path / "align.py"
    script.write_text(SCRIPT)
    told = {}
    for processes, out, size in ((1, "one", 4), (2, "two", 2)):
        launched(script, tmp_path / out, size, method, processes=processes)
        told[out] = json.loads((tmp_path / out / "told.json").read_text())
    assert len(told["one"]["history"]) == 8
    for mine, whole in zip(told["two"]["history"], told["one"]["history"], strict=True):
        assert mine.keys() == whole.keys()
        for name in mine.keys() - set(ELSEWHERE):  # what was watched too: of all completions, and of no filler
            assert mine[name] == pytest.approx(whole[name], abs=2e-5), name
    assert told["one"]["history"][0]["ratio"] == pytest.approx(1, abs=1e-5)
    assert told["one"]["faults"]["ValueError: no idea"] > 0
    assert told["two"]["faults"] == told["one"]["faults"]
    assert (tmp_path / "two/samples.jsonl").read_text() == (tmp_path / "one/samples.jsonl").read_text()
    assert not [*(tmp_path / "two").glob("samples-*")]
