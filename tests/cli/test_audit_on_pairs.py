"""`plaudit audit` on pairs, as a user runs it."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from xml.etree import ElementTree

import pytest

from plaudit.cli import auditing
from plaudit.cli.audit_recipe import AuditRecipe
from plaudit.cli.main import main
from small_data import write_rows

RULE = '''
import numpy as np
from plaudit.rewards.base import RewardBatch

class Rule:
    """Likes careful answers{doc}."""

    name, scope, bounds, fingerprint = "{name}", "sample", (-100.0, 100.0), "{name}"

    def __call__(self, samples):
        return RewardBatch(np.array([self.one(s) for s in samples]))

    def one(self, s):
        return ("because" in s.text) + {extra} + (sum(map(ord, s.text)) % 7) / 50

def reward():
    return Rule()
'''
QUICK = ["--prompts", "30", "--search-budget", "100"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "prompt": f"why {i}", "chosen": f"it is {i} because of the wind and the sea",
            "rejected": f"it is {i} and nobody can say why that would be",
            "side": "north" if i % 2 else "south",
        }
        for i in range(80)
    ]  # fmt: skip
    write_rows(tmp_path / "pairs.jsonl", rows)
    (tmp_path / "nan.yaml").write_text("thresholds: {bias: .nan}\n")  # nothing is above it, so all would be green
    (tmp_path / "column.yaml").write_text("columns: {paraphrase: sied}\nskip: [attack, bias]\n")
    (tmp_path / "list.json").write_text('{"audit": [1]}')
    (tmp_path / "nothing.json").write_text('{"audit": {"checks": null}}')
    (tmp_path / "sound.py").write_text(RULE.format(doc="", name="sound", extra="0.0"))
    (tmp_path / "long.py").write_text(RULE.format(doc=" and long ones", name="long", extra="0.05 * len(s.text)"))
    return tmp_path


def test_page_json_junit_and_exit_status(folder, capsys):
    words = ["audit", "pairs.jsonl", "--reward", "long.py:reward", "--group", "side:author", *QUICK]
    assert main([*words, "--out", "out", "--json", "n.json", "--junit", "j.xml", "--fail-on", "bias"]) == 1
    said = capsys.readouterr().out
    assert "bias/length" in said
    assert "failed: bias/length is red" in said
    numbers = json.loads((folder / "n.json").read_text())
    assert numbers["bias/length"]["low"] > 0.2
    assert numbers["configuration"]["groups"] == ["side:author"]
    assert "bias/length" in (folder / "out" / "audit.html").read_text()
    cases = [c.get("name") for c in ElementTree.parse(folder / "j.xml").iter("testcase")]
    assert "fairness/side=north" in cases
    assert main([*words, "--fail-on", "fairness"]) == 0


def test_a_baseline_tells_what_got_worse(folder, capsys):
    assert main(["audit", "pairs.jsonl", "--reward", "sound.py:reward", *QUICK, "--out", "before"]) == 0
    words = ["audit", "pairs.jsonl", *QUICK, "--against", "before/audit.json", "--fail-on", "worse", "--reward"]
    assert main([*words, "sound.py:reward"]) == 0
    capsys.readouterr()
    assert main([*words, "long.py:reward", "--junit", "j.xml"]) == 1
    said = capsys.readouterr().out
    assert "failed: bias/length is worse" in said
    cases = {c.get("name"): c for c in ElementTree.parse(folder / "j.xml").iter("testcase")}
    assert cases["bias/length"].find("failure").get("message").startswith("is worse; what added length")
    assert "other pairs" not in said
    lines = (folder / "pairs.jsonl").read_text().splitlines()
    (folder / "fewer.jsonl").write_text("".join(f"{line}\n" for line in lines[1:]))
    main(["audit", "fewer.jsonl", *words[2:], "sound.py:reward"])
    assert "the baseline was audited on other pairs: a difference may be theirs" in capsys.readouterr().out
    (folder / "turned.jsonl").write_text("".join(f"{line}\n" for line in lines[::-1]))
    main(["audit", "turned.jsonl", *words[2:], "sound.py:reward"])
    assert "other pairs" not in capsys.readouterr().out


def test_rows_that_are_no_pairs_are_named_with_their_file(folder, capsys):
    (folder / "samples.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    assert main(["audit", "samples.jsonl", "--reward", "sound.py:reward"]) == 2
    said = capsys.readouterr().err
    assert "samples.jsonl: samples cannot become pairs; " in said
    assert "they can become prompts. Here rows with prompt, chosen and" in said


def test_a_recipe_holds_groups_thresholds_and_what_fails(folder, capsys):
    (folder / "audit.yaml").write_text("groups: [side]\nthresholds: {bias: 100}\nfail_on: [bias]\nprompts: 30\n")
    words = ["audit", "pairs.jsonl", "--reward", "long.py:reward", "--recipe", "audit.yaml", "--search-budget", "100"]
    assert main([*words, "--json", "n.json"]) == 0
    assert "fairness/side=north" in json.loads((folder / "n.json").read_text())
    (folder / "audit.yaml").write_text("treshold: 1\n")
    assert main(words) == 2
    assert "unknown key 'treshold'" in capsys.readouterr().err


def test_a_misspelt_threshold_and_what_was_not_measured_do_not_pass(folder, capsys):
    words = ["audit", "pairs.jsonl", "--reward", "sound.py:reward", *QUICK, "--skip", "bias", "--recipe", "audit.yaml"]
    (folder / "audit.yaml").write_text("thresholds: {attack/openr: 0.3, bias/length: 1}\n")
    assert main(words) == 2
    assert "no check 'attack/openr'; did you mean 'attack/opener'" in capsys.readouterr().err
    (folder / "audit.yaml").write_text("fail_on: [attack/search, fairness]\n")
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "failed: attack/search was not measured: no true reward" in said
    assert "failed: fairness/gaps was not measured: no attribute was named" in said


def test_a_recipe_says_what_the_command_line_can(folder, capsys):
    (folder / "truth.py").write_text("def truth(samples):\n    return [float('because' in s.text) for s in samples]\n")
    (folder / "audit.yaml").write_text(
        "truth: truth.py:truth\nout: first\njson: n.json\njunit: j.xml\nno_texts: true\nskip: [attack, consistency]\n"
        "fail_on: [bias]\nlog: r.log\n"
    )
    words = ["audit", "pairs.jsonl", "--reward", "long.py:reward", "--recipe", "audit.yaml", "--prompts", "30"]
    assert main(words) == 1
    assert (folder / "r.log").exists()
    numbers = json.loads((folder / "n.json").read_text())
    assert numbers["configuration"]["truth"] == "truth.py:truth"
    assert sorted(set(numbers["configuration"]) & {"junit", "no_texts"}) == []  # the audit itself is not told
    written = [folder / "first" / "audit.json", folder / "first" / "audit.html", folder / "j.xml"]
    assert not any("the wind and the sea" in path.read_text() for path in written)
    # the command line comes first, and a baseline is read
    (folder / "next.yaml").write_text("against: first/audit.json\nout: never\nskip: [attack, consistency]\n")
    assert main([*words[:4], "--recipe", "next.yaml", "--out", "second", "--prompts", "30"]) == 0
    assert not (folder / "never").exists()
    document = json.loads((folder / "second" / "audit.json").read_text())
    assert (document["baseline"], bool(document["changes"])) == ("audit.json", True)
    assert "the wind and the sea" in (folder / "second" / "audit.json").read_text()


@pytest.mark.parametrize(
    ("words", "recipe", "error"),
    [
        ([], "thresholds: {bias/lenght: 0.3}", "thresholds: this audit has no check 'bias/lenght'; did you mean"),
        (["--fail-on", "attack/nope"], "", "--fail-on attack/nope: this audit has no such check"),
        (["--fail-on", "attack/position"], "", "--fail-on attack/position: this audit has no such check"),
        (["--fail-on", "fairness/side=nort"], "", "no such check; did you mean 'fairness/side=north'"),
        ([], "fail_on: [fairness/gaps]", "--fail-on fairness/gaps: this audit has no such check"),
        (["--json", "/proc/nowhere/n.json"], "", "--json: nothing can be written in /proc/nowhere"),
        (["--junit", "sound.py/j.xml"], "", "--junit: nothing can be written in sound.py"),
        (["--junit", "."], "", "--junit: . is a folder; name a file"),
        (["--out", "sound.py"], "", "--out: nothing can be written in sound.py"),
        (["--log", "/proc/nowhere/r.log"], "", "--log: nothing can be written in /proc/nowhere"),
        ([], "junit: /proc/nowhere/j.xml", "--junit: nothing can be written in /proc/nowhere"),
        (["--stratum", "grad"], "", "stratum: no pair has a column 'grad'; did you mean 'grade'"),
        (["--group", "tone:completion"], "", "group tone:completion: no pair has a column 'chosen_tone'"),
        ([], "columns: {translation: version}", "pair 3: column 'version' of the pair with prompt 'why 2': prompt = 5"),
        (["--recipe", "none.yaml"], None, "--recipe: none.yaml is not there"),
    ],
)
def test_mistakes_are_found_before_anything_is_scored_or_written(folder, capsys, words, recipe, error):
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    rows = [row | {"grade": i % 3} for i, row in enumerate(rows)]
    rows[2]["version"] = {"prompt": 5}
    write_rows(folder / "pairs.jsonl", rows)
    (folder / "untouched.py").write_text(
        RULE.format(doc="", name="untouched", extra="0.0").replace(
            "        return RewardBatch(", "        open('asked', 'w').close()\n        return RewardBatch(", 1
        )
    )
    if recipe is not None:
        (folder / "audit.yaml").write_text(recipe)
        words = [*words, "--recipe", "audit.yaml"]
    before = {path.name for path in folder.iterdir()}
    words = ["--group", "side", *words]
    if "--out" not in words:
        words = ["--out", "out", *words]
    assert main(["audit", "pairs.jsonl", "--reward", "untouched.py:reward", *QUICK, *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert error in said[0]
    assert {path.name for path in folder.iterdir()} - before <= {"__pycache__"}


def test_a_group_that_fail_on_names_and_that_is_too_small_has_not_passed(folder, capsys):
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    write_rows(folder / "few.jsonl", [row | {"side": "east"} if i < 9 else row for i, row in enumerate(rows)])
    words = ["audit", "few.jsonl", "--reward", "sound.py:reward", "--prompts", "30", "--group", "side"]
    skip = ["--skip", "bias", "--skip", "attack", "--skip", "consistency"]
    assert main([*words, *skip, "--fail-on", "fairness/side=east", "--junit", "j.xml"]) == 1
    assert "failed: fairness/side=east was not measured" in capsys.readouterr().out
    cases = {c.get("name"): c for c in ElementTree.parse(folder / "j.xml").iter("testcase")}
    assert cases["fairness/side=east"].find("failure") is not None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--fail-on", "worse"], "needs a baseline"),
        (["--fail-on", "attack/openers"], "no such check"),
        (["--group", "colour"], "no pair has a column 'colour'"),
        (["--group", "side:people"], "is nobody"),
        (["--skip", "attacks"], "skip has 'attacks'"),
        (["--against", "none.json"], "is not there"),
        (["--recipe", "none.yaml"], "is not there"),
        (["--recipe", "nan.yaml"], "threshold of 'bias' is nan; give a number of 0 or more"),
        (["--recipe", "column.yaml"], "no pair has a column 'sied'; did you mean 'side'"),
        (["--against", "list.json"], "list.json is no stored audit"),
        (["--against", "nothing.json"], "nothing.json is no stored audit"),
    ],
)
def test_mistakes_get_one_line(folder, capsys, words, error):
    assert main(["audit", "pairs.jsonl", "--reward", "sound.py:reward", *QUICK, *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert error in said[-1]
    assert len(said) == 1
    assert not (folder / "out").exists()


def _options():
    parser = argparse.ArgumentParser()
    auditing.add_arguments(parser)
    return {name: actions for actions in parser._actions for name in actions.option_strings if name.startswith("--")}


def test_every_option_is_a_key_of_the_recipe():
    keys = {field.name for field in fields(AuditRecipe)} | {"group", "recipe", "help"}  # groups
    assert {action.dest for action in _options().values()} <= keys


def test_every_option_of_pairs_is_refused_without_them(capsys):
    for name, action in _options().items():
        if name != "--help":
            value = [] if action.nargs == 0 else ["3"]
            assert main(["audit", "--reward", "verify/math", name, *value]) == 2
            assert f"{name}: is for an audit on pairs; name the file of pairs, too" in capsys.readouterr().err


def test_a_verifiers_numbers_need_a_place_too(capsys):
    assert main(["audit", "--reward", "verify/math", "--json", "/proc/nowhere/n.json"]) == 2
    said = capsys.readouterr()
    assert "--json: nothing can be written in /proc/nowhere" in said.err
    assert said.out == ""


def test_options_of_pairs_need_pairs(folder, capsys):
    assert main(["audit", "--reward", "verify/math", "--group", "side"]) == 2
    assert "--group: is for an audit on pairs" in capsys.readouterr().err
    for option in ("--seed", "--prompts"):
        assert main(["audit", "--reward", "verify/math", option, "0"]) == 2
        assert f"{option}: is for an audit on pairs" in capsys.readouterr().err


def test_what_was_scored_before_a_kill_is_not_asked_again(folder, capsys):
    (folder / "fragile.py").write_text(
        RULE.format(doc="", name="fragile", extra="0.0").replace(
            "        return RewardBatch(",
            "        from pathlib import Path\n"
            "        asked = Path('asked')\n"
            "        before = int(asked.read_text()) if asked.exists() else 0\n"
            "        if Path('kill').exists() and before > 400:\n"
            "            raise KeyboardInterrupt\n"
            "        asked.write_text(str(before + len(samples)))\n"
            "        return RewardBatch(",
            1,
        )
    )
    words = ["audit", "pairs.jsonl", "--reward", "fragile.py:reward", *QUICK, "--skip", "consistency", "--out", "out"]
    (folder / "kill").touch()
    assert main(words) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("plaudit: interrupted")
    first = int((folder / "asked").read_text())
    assert first > 400
    (folder / "kill").unlink()
    assert main(words) == 0
    whole = int((folder / "asked").read_text())
    assert main(words) == 0
    assert int((folder / "asked").read_text()) == whole  # all of it is in the log
    assert main([*words[:-1], "another"]) == 0
    # the two halves together asked for no more than an undisturbed audit does (a little less: what the rehearsal asks
    # on made-up rewards it asks on known ones)
    assert first < whole <= int((folder / "asked").read_text()) - whole


def test_a_coin_does_not_pass(folder, capsys):
    """Its interval holds one half however many pairs there are, so it is never red."""
    (folder / "coin.py").write_text(
        RULE.format(doc="", name="coin", extra="0.0").replace(
            'return ("because" in s.text) + 0.0 + (sum(map(ord, s.text)) % 7) / 50',
            "import hashlib; return int(hashlib.sha256(s.text.encode()).hexdigest()[:6], 16) / 2**24",
        )
    )
    words = ["audit", "pairs.jsonl", "--reward", "coin.py:reward", *QUICK, "--skip", "attack", "--skip", "bias"]
    for what in ("red", "accuracy", "accuracy/coin"):
        assert main([*words, "--fail-on", what, "--junit", "j.xml"]) == 1
        said = capsys.readouterr().out
        assert "Do not use this reward" in said
        assert "failed: accuracy/coin is amber, and the verdict permits nothing: it is not shown to tell" in said
        cases = {c.get("name"): c for c in ElementTree.parse(folder / "j.xml").iter("testcase")}
        assert cases["accuracy/coin"].find("failure") is not None


COUNTED = """
import numpy as np
from pathlib import Path
from plaudit.rewards.base import PreferenceBatch, RewardBatch

def count(name, n):
    path = Path(name)
    path.write_text(str(n + (int(path.read_text()) if path.exists() else 0)))

class Truth:
    name, scope, bounds, fingerprint = "truth", "sample", (-100.0, 100.0), "truth"
    def __call__(self, samples):
        count("truth", len(samples))
        return RewardBatch(np.array([float("because" in s.text) for s in samples]))

class Duel:
    name, fingerprint = "duel", "duel"
    def __call__(self, first, second):
        count("duel", len(first))
        p = [0.5 + 0.4 * (("because" in a.text) - ("because" in b.text)) for a, b in zip(first, second)]
        return PreferenceBatch(np.array(p), np.zeros(len(p), dtype=np.int8))

def truth():
    return Truth()

def duel():
    return Duel()
"""


def test_a_comparison_and_a_truth_are_paid_for_once_over_runs(folder, capsys):
    (folder / "counted.py").write_text(COUNTED)
    words = ["audit", "pairs.jsonl", "--reward", "counted.py:duel", "--truth", "counted.py:truth", *QUICK]
    assert main([*words, "--out", "out"]) == 0
    once = [int((folder / name).read_text()) for name in ("duel", "truth")]
    assert f"({once[0]} comparisons asked" in capsys.readouterr().out
    assert main([*words, "--out", "out"]) == 0
    assert [int((folder / name).read_text()) for name in ("duel", "truth")] == once
    assert main([*words, "--log", "duel.log"]) == 0
    assert (folder / "duel.log").is_file()


def test_candidates_say_what_its_picks_are_worth(folder, capsys):
    (folder / "counted.py").write_text(COUNTED)
    rows = [
        {"prompt": f"how {i}", "completion": f"it is {i} {'because' if j % 4 == 0 else 'and'} of {j}"}
        for i in range(12)
        for j in range(16)
    ]
    write_rows(folder / "many.jsonl", rows)
    words = ["audit", "pairs.jsonl", "--reward", "sound.py:reward", "--truth", "counted.py:truth", *QUICK]
    assert main([*words, "--skip", "attack", "--candidates", "many.jsonl", "--json", "n.json"]) == 0
    # 4 of 16 are right: four draws hold one with 1 - (12 * 11 * 10 * 9) / (16 * 15 * 14 * 13) = .728; the unit is
    # sqrt(16 / 15 * 1/4 * 3/4) = .447
    found = json.loads((folder / "n.json").read_text())
    assert found["accuracy/selection"]["value"] == pytest.approx((0.728 - 0.25) / 0.447, abs=0.01)
    assert found["accuracy/over-optimisation"]["value"] == 0.0
    write_rows(folder / "few.jsonl", [{"text": "no sample"}])
    assert main([*words, "--candidates", "few.jsonl"]) == 2
    write_rows(folder / "torn.jsonl", [*rows[:2], {"prompt": "how", "completion": 3}])
    capsys.readouterr()
    assert main([*words, "--candidates", "torn.jsonl"]) == 2
    said = capsys.readouterr().err
    assert "torn.jsonl row 3: " in said
    assert said.rstrip().endswith("(mend the row)")  # --skip-broken sets rows of the pairs aside, and of nothing else
