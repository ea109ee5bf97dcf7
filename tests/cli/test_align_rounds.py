"""`plaudit align` with a file that says how several runs belong together: stages, games."""

import json

import pytest
import yaml

from plaudit.cli.main import main
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.rewards.likelihood.saved import write_causal
from small_data import write_rows
from small_policies import policy, prompts

OPTIONS = [
    "--max-tokens", "8", "--completions", "3", "--batch-size", "4", "--max-length", "96", "--learning-rate", "1e-3",
]  # fmt: skip
SAMPLING = ["--max-tokens", "8", "--max-length", "96"]
EVEN = """
import numpy as np
from plaudit.rewards.base import RewardBatch

class Even:
    name, scope, bounds, fingerprint = "even", "sample", (0.0, 1.0), "even"

    def __call__(self, samples):
        return RewardBatch(np.array([float(len(s.text) % 2 == 0) for s in samples]))

even = Even()
"""


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


@pytest.fixture
def start(tmp_path):
    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    (tmp_path / "even.py").write_text(EVEN)
    return str(tmp_path / "policy")


@pytest.fixture
def asked(tmp_path):
    rows = [{"prompt": p.prompt[0].text, "reference": p.reference} for p in prompts(12)]
    return str(write_rows(tmp_path / "prompts.jsonl", rows))


def written(path, tree):
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def command(tmp_path, start, asked, kind, tree, *more, options=OPTIONS):
    file = written(tmp_path / f"{kind}.yaml", tree)
    reward = f"{tmp_path}/even.py:even"
    given = ["align", asked, "--model", start, "--reward", reward, f"--{kind}", file, "--out", str(tmp_path / "run")]
    return [*given, *options, *more]


def test_stages_are_run_and_measured(tmp_path, start, asked, capsys):
    tree = {
        "stages": [
            {"name": "mixed", "config": {"kl_coef": 0.02}},
            {"name": "short", "reward": "rule/length?target=4", "config": {"learning_rate": "1e-2"}},
            {"name": "never", "when": "even"},
        ],
        "measures": {"even": {"data": asked, "completions": 2}},
        "tolerance": 2.0,
    }
    words = command(tmp_path, start, asked, "stages", tree, "--kl-coef", "0.01")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert [line.split(":")[0] for line in said.splitlines() if ": even 0." in line] == ["start", "mixed", "short"]
    assert "left out, for what they wait for has not fallen: never" in said
    assert said.splitlines()[-1] == f"saved {tmp_path}/run/stages/short/model"
    for name, coefficient, rate in (("mixed", 0.02, 1e-3), ("short", 0.01, 1e-2)):
        record = json.loads((tmp_path / "run/stages" / name / "model/alignment.json").read_text())
        assert (record["config"]["kl_coef"], record["config"]["learning_rate"]) == (coefficient, rate)
    kept = sorted((tmp_path / "run" / "measures").glob("*.json"))
    assert len(kept) == 3
    assert json.loads(kept[0].read_text())["n"] == 12
    assert main(words) == 0
    assert capsys.readouterr().out.count("finished before") == 3


def test_a_game_is_played(tmp_path, start, asked, capsys):
    small = {"width": 16, "layers": 1, "heads": 2, "vocabulary": 300}
    tree = {
        "game": {"rounds": 1, "solutions": 4, "pairs": 2, "helpful": "+", "sneaky": "-"},
        "verifier": {"model": small, "fit": {"learning_rate": "1e-2", "max_length": 64, "center_coef": 0.01}},
        "reader": small,
    }
    assert main(command(tmp_path, start, asked, "game", tree)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("round 0: helpful right 0.")
    assert "legible against sneaky" in said[-2]
    assert said[-1].startswith(f"saved {tmp_path}/run/stages/provers-0/model and the verifier")


def test_a_reward_is_learnt_in_turns(tmp_path, start, capsys, monkeypatch):
    rows = [{"prompt": p.prompt[0].text, "completion": "77", "kind": "ab"[i % 2]} for i, p in enumerate(prompts(16))]
    data = str(write_rows(tmp_path / "demonstrations.jsonl", rows))
    tree = {
        "irl": {"rounds": 1, "samples": 2, "category": "kind", "test_share": 0.25},
        "reward": {
            "model": {"width": 16, "layers": 1, "heads": 2, "vocabulary": 300},
            "fit": {"learning_rate": "1e-2", "max_length": 64},
        },
    }
    file, out = written(tmp_path / "irl.yaml", tree), str(tmp_path / "run")
    words = ["align", data, "--model", start, "--irl", file, "--out", out, *OPTIONS, "--watch", "rule/length?target=2"]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("round 0: ranked ")
    at = f"{out}/stages/reward-0/category"
    assert said[-1] == f"saved {out}/stages/policy-0/model and the reward {at}-0/model (a), {at}-1/model (b)"
    record = json.loads((tmp_path / "run/stages/policy-0/model/alignment.json").read_text())
    assert record["config"]["algorithm"] == "grpo-s"
    manifest = json.loads((tmp_path / "run/stages/reward-0/category-0/model/plaudit.json").read_text())
    assert "demonstration-gap" in json.dumps(manifest)
    assert main([*words, "--reward", "rule/length?target=2"]) == 2
    assert "--irl learns the reward, and --reward names one" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(words) == 2
    assert "--irl runs in one process" in capsys.readouterr().err
    monkeypatch.delenv("WORLD_SIZE")
    written(tmp_path / "irl.yaml", {**tree, "reward": {"fit": {"objective": "regression"}}})
    assert main(words) == 2
    assert "the fit is regression; give demonstration-gap or bradley-terry" in capsys.readouterr().err
    written(tmp_path / "irl.yaml", {"reward": "x"})
    assert main(words) == 2
    assert "reward" in capsys.readouterr().err


SUBJECT = """
import numpy as np
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import conversation

class Digits:
    fingerprint = "digits"

    def ask(self, seed, lemma):
        return conversation(seed.statement.prompt[0].text)

    def read(self, text):
        found = "".join(c for c in text if c.isdigit())
        return PromptOnly(conversation(found + "+1")) if found else None

    def lemmas(self, statement, proof):
        return []

    def embedding(self, statements):
        return np.ones((len(statements), 1))
"""


def test_a_policy_plays_with_itself(tmp_path, start, asked, capsys):
    (tmp_path / "digits.py").write_text(SUBJECT)
    play = {"rounds": 2, "conjectures": 8, "proofs": 4, "seed_rate": 0.0, "low_band": 1.0, "high_band": 1.0}
    tree = {"self_play": play, "subject": f"{tmp_path}/digits.py:Digits", "fit": {"learning_rate": "1e-2"}}
    assert main(command(tmp_path, start, asked, "self-play", tree, options=SAMPLING)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-3].startswith("round 0: solved ")
    assert said[-3].endswith(", 0 conjectures, 0 of them taught")
    assert "round 1: solved 1.000" in said[-2]
    assert said[-1] == f"saved {tmp_path}/run/stages/policy-retrained/model"
    record = json.loads((tmp_path / "run/stages/policy-0/model/alignment.json").read_text())
    assert (record["algorithm"], record["config"]["learning_rate"]) == ("weighted-sft", 1e-2)


@pytest.mark.parametrize(
    ("kind", "tree", "more", "words"),
    [
        ("stages", {"stage": []}, [], "unknown key 'stage'; did you mean 'stages'"),
        ("stages", {"stages": [{"name": "a", "confg": {}}]}, [], "unknown key 'stages.confg'"),
        ("stages", {"stages": [{"name": "a", "config": {"kl_cof": 1}}]}, [], "stage a: unknown key 'kl_cof'; did you"),
        ("stages", {"stages": [{"name": "a", "when": "x"}]}, [], "waits for 'x' to fall, and nothing is measured"),
        ("stages", [], [], "holds a list; give a mapping"),
        ("stages", {"stages": [{"name": "a"}]}, ["--watch", "verify/math"], "--watch has no effect with --stages"),
        ("stages", {"stages": [{"name": "a"}]}, ["--game", "x.yaml"], "--stages and --game are two kinds of run"),
        ("game", {"game": {"rounds": 0}}, [], "rounds is 0; give at least 1"),
        ("self-play", {"subject": "x"}, [], "subject 'x' is no module.py:NAME"),
        ("self-play", {"subject": "x.py:Y"}, [], "x.py: no such file; a subject is given as module.py:function"),
        ("self-play", {"subject": "even.py:even"}, [], "lacks ask, read, lemmas, embedding"),
        ("self-play", {"subject": {"pattern": "x"}}, [], "has no group (?P<statement>"),
        ("self-play", {"self_play": {"cap": 0}}, [], "cap is 0.0; give a finite weight"),
        ("self-play", {"fit": {"algorithm": "sft"}}, [], "the fit's algorithm is 'sft'"),
        ("self-play", {}, ["--kl-coef", "0.1"], "--kl-coef has no effect with --self-play"),
        ("game", {}, ["--algorithm", "dno"], "'dno' is not known"),
        ("game", {}, ["--algorithm", "pref-grpo"], "does not learn from a reward alone"),
    ],
)
def test_what_a_file_says_wrongly_is_one_line(tmp_path, start, asked, capsys, kind, tree, more, words):
    if isinstance(tree, dict) and tree.get("subject") == "even.py:even":
        tree = {"subject": f"{tmp_path}/even.py:even"}
    options = SAMPLING if kind == "self-play" else OPTIONS
    assert main(command(tmp_path, start, asked, kind, tree, *more, options=options)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
