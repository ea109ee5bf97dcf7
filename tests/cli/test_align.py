"""`plaudit align` on files of preferences: what it prints, leaves behind, and refuses in one line."""

import json

import pytest

from plaudit.cli.main import main
from plaudit.policy.algorithms import ALGORITHMS
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.policies.fitting import start_language

PAIRS = [
    {"prompt": f"question {i // 2}", "chosen": f"a good answer {i}", "rejected": f"a bad answer {i} alas"}
    for i in range(12)
]
WORDS = ["--max-length", "96", "--learning-rate", "3e-3", "--batch-size", "4", "--epochs", "3"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    texts = [t for row in PAIRS for t in row.values()]
    backbone = Backbone(width=32, layers=1, heads=2, vocabulary=300)
    made = start_language(backbone, texts, FitConfig(max_length=96))
    write_causal(made.model, folder)
    made.tokenizer.save_pretrained(folder)
    return str(folder)


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def data(tmp_path):
    return written(tmp_path / "pairs.jsonl", PAIRS)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


def test_what_it_says_and_leaves(policy, data, tmp_path, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "run"
    words = ["align", data, "--model", policy, "--algorithm", "dpo?beta=0.2", "--out", str(out), *WORDS]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"dpo: aligned on 12 pairs in 12 groups from {policy} (")
    assert printed[1].startswith("loss 0.69")
    assert "-> 100%; margin" in printed[2]
    assert "KL from the reference about 0." in printed[3]
    assert "prefix trees; 0 of 24 sequences truncated" in printed
    measure = f"'likelihood/ratio?policy={out}/model&reference={policy}'"
    assert printed[-1] == f"saved {out}/model; next: plaudit evaluate HELD_OUT_PAIRS --reward {measure}"
    assert AutoModelForCausalLM.from_pretrained(out / "model").config.hidden_size == 32
    assert AutoTokenizer.from_pretrained(out / "model").eos_token
    record = json.loads((out / "model" / "alignment.json").read_text())
    assert record["options"]["beta"] == 0.2
    assert record["data_hash"]
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    logged = [s for s in steps if "loss" in s]
    assert len(logged) == 9
    assert {"margin", "accuracy", "chosen_logp", "rejected_logp", "kl", "chosen_reward"} <= logged[0].keys()
    assert main(["evaluate", data, "--reward", measure.strip("'")]) == 0  # the line that it ends with is a command
    assert "accuracy" in capsys.readouterr().out


def test_the_list_of_algorithms(capsys):
    for words in (["align", "help"], ["align", "--algorithm", "help"]):
        assert main(words) == 0
        printed = capsys.readouterr().out
        for name, algorithm in ALGORITHMS.items():
            assert f"\n{name}\n  {algorithm.summary}\n  from {algorithm.needs}" in printed


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "align: give DATA, --model REF, --out FOLDER (see plaudit align --help)"),
        (["DATA", "--out", "OUT"], "align: give --model REF (see plaudit align --help)"),
        (["DATA", "--out", "OUT", "--model", "scratch"], "align: a model with random weights has nothing to align"),
        (["DATA", "--out", "OUT", "--model", "nowhere"], "nowhere: no such model folder"),
        (["DATA", "--out", "OUT", "--model", "MODEL", "--algorithm", "dpoo"], "'dpoo' is not known; did you mean"),
        (["DATA", "--out", "OUT", "--model", "MODEL", "--algorithm", "dpo?gama=1"], "dpo: unknown option 'gama'"),
        (["DATA", "--out", "OUT", "--model", "MODEL", "--algorithm", "rebel"], "algorithm rebel: row 1 has the scores"),
        (["MISSING", "--out", "OUT", "--model", "MODEL"], "missing.jsonl"),
    ],
)
def test_one_clear_line(words, text, policy, data, tmp_path, capsys):
    named = {"DATA": data, "OUT": str(tmp_path / "run"), "MODEL": policy, "MISSING": str(tmp_path / "missing.jsonl")}
    assert main(["align", *(named.get(w, w) for w in words)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("plaudit: error: ")
    assert text in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()  # nothing half-written


def test_scored_samples_are_imitated(policy, tmp_path, capsys):
    rows = [
        {"prompt": f"question {i}", "completion": f"a {word} answer {i}", "reward": reward, "outcome": "scored"}
        for i in range(6)
        for word, reward in (("good", 1.0), ("bad", 0.0))
    ]
    data = written(tmp_path / "scored.jsonl", rows)
    words = ["align", data, "--model", policy, "--algorithm", "raft", "--out", str(tmp_path / "run"), *WORDS]
    assert main(words) == 0
    assert "raft: aligned on 6 completions in 6 groups" in capsys.readouterr().out
