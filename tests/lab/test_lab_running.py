"""Claims, instances, resumption, evidence and the command, on an experiment that takes no time."""

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from small_claims import claim_of, no_fit, run_instance

from plaudit.cli.main import main
from plaudit.errors import InputError, IntegrityError, MissingError
from plaudit.lab import (
    Experiment,
    evidence_page,
    find_experiment,
    instances,
    list_experiments,
    read_claim,
    run_experiment,
)
from plaudit.lab.evidence import summarise
from plaudit.lab.running import read_results


def test_hash_covers_all_but_amendments(tmp_path):
    change = {"date": "2026-01-01", "what": "more prompts", "why": "noise"}
    first = claim_of(tmp_path)
    assert claim_of(tmp_path, amendments=[change]).hash == first.hash
    assert claim_of(tmp_path, delta=0.06).hash != first.hash
    assert first.area == "area"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrik": "u"}, "key 'metrik' is not known; did you mean 'metric'"),
        ({"metric": ...}, "metric missing"),
        ({"delta": 0}, "delta is 0"),
        ({"contrast": ["new", "odl"]}, "'odl' is no arm; did you mean 'old'"),
        ({"direction": "up"}, "direction is 'up'"),
        ({"blind": "salt"}, "blind is no SHA-256"),
        ({"budget": {"full": {}}}, "both 'full' and 'smoke'"),
        ({"budget": ["full", "smoke"]}, "budget a mapping of full and smoke to numbers"),
        ({"arms": "ab"}, "arms is a list of names"),
        ({"delta": True}, "delta is True"),
        ({"notes": "one"}, "notes is 'one'; give a list of texts"),
        ({"summary": ["u", 3]}, "give a list of texts"),
        ({"summary": ["u@20"]}, "summary names 'u@20', and no arm has that dose"),
    ],
)
def test_claim_errors(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        claim_of(tmp_path, **changes)
    with pytest.raises(MissingError, match="is not there"):
        read_claim(tmp_path / "none.yaml")


def test_instances_are_4_12_4_and_all_different(tmp_path):
    claim = claim_of(tmp_path)
    rows = [i for role in ("development", "confirmatory") for i in instances(claim, role)]
    rows += instances(claim, "blind", salt="salt")
    assert len(rows) == 20
    assert len({i.seed for i in rows}) == 20
    other = replace(claim, name="area/other")
    assert not {i.seed for i in rows} & {i.seed for i in instances(other, "confirmatory")}
    with pytest.raises(InputError, match="need the salt"):
        instances(claim, "blind")
    with pytest.raises(InputError, match="not the one that the claim published"):
        instances(claim, "blind", salt="pepper")
    with pytest.raises(InputError, match="did you mean 'confirmatory'"):
        instances(claim, "confirmatry")


def test_a_salt_may_be_drawn_anew_and_is_revealed_in_the_end(tmp_path):
    stated = {"date": "2026-01-01", "what": "salt", "why": "lost"}
    anew = stated | {"blind": hashlib.sha256(b"pepper").hexdigest()}
    claim = claim_of(tmp_path, amendments=[anew])
    assert claim.hash == claim_of(tmp_path).hash
    seeds = [i.seed for i in instances(claim, "blind", salt="pepper")]
    with pytest.raises(InputError, match="not the one that the claim published"):
        instances(claim, "blind", salt="salt")
    with pytest.raises(InputError, match="need the salt"):
        instances(claim, "blind")
    revealed = claim_of(tmp_path, amendments=[anew, stated | {"salt": "pepper"}])
    assert [i.seed for i in instances(revealed, "blind")] == seeds
    assert "blind instances with `--instances blind`" in evidence_page(summarise({claim.name: (revealed, {})}))
    with pytest.raises(InputError, match="the salt's hash is not the one that was published"):
        claim_of(tmp_path, amendments=[anew, stated | {"salt": "salt"}])
    later = stated | {"blind": hashlib.sha256(b"paprika").hexdigest()}
    redrawn = claim_of(tmp_path, amendments=[anew, stated | {"salt": "pepper"}, later])
    assert redrawn.salt is None  # what was revealed is not what counts
    with pytest.raises(InputError, match="need the salt"):
        instances(redrawn, "blind")
    numbered = stated | {"blind": hashlib.sha256(b"12345").hexdigest(), "salt": 12345}
    assert instances(claim_of(tmp_path, amendments=[numbered]), "blind")  # a salt that YAML reads as a number
    with pytest.raises(InputError, match="may have blind or salt"):
        claim_of(tmp_path, amendments=[stated | {"slat": "pepper"}])


def test_a_killed_run_goes_on_and_repeats_nothing(tmp_path):
    claim, calls = claim_of(tmp_path), []

    def dies(seed, arm, *, budget, fit):
        calls.append((seed, arm))
        if len(calls) == 8:
            raise KeyboardInterrupt
        return run_instance(seed, arm, budget=budget, fit=fit)

    rows = instances(claim, "confirmatory", count=4)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(Experiment(claim, dies), rows, folder=tmp_path / "log", fit=no_fit)
    assert sum(len(arms) for arms in read_results(tmp_path / "log", claim).values()) == 7
    results = run_experiment(Experiment(claim, dies), rows, folder=tmp_path / "log", fit=no_fit)
    assert len(calls) == 13  # 12 runs, one of which died once
    undisturbed = run_experiment(Experiment(claim, run_instance), rows, folder=tmp_path / "other", fit=no_fit)
    assert results == undisturbed


def test_results_of_another_claim_are_refused(tmp_path):
    claim = claim_of(tmp_path)
    run_experiment(
        Experiment(claim, run_instance), instances(claim, "development", count=1), folder=tmp_path, fit=no_fit
    )
    with pytest.raises(IntegrityError):
        read_results(tmp_path, claim_of(tmp_path, delta=0.07))


def test_a_result_without_its_primary_metric_is_refused(tmp_path):
    claim = claim_of(tmp_path)
    with pytest.raises(InputError, match="gave u = nan"):
        run_experiment(
            Experiment(claim, lambda *_, **__: {"v": 1.0}),
            instances(claim, "development"),
            folder=tmp_path,
            fit=no_fit,
        )
    with pytest.raises(InputError, match="has no arm 'best'"):
        run_experiment(Experiment(claim, run_instance), [], folder=tmp_path, fit=no_fit, arms=["best"])


def confirmed(claim, blind_effect):
    runs = {
        i.key: {a: run_instance(i.seed, a, budget={"n": 1}, fit=no_fit) for a in claim.arms}
        for i in instances(claim, "confirmatory")
    }
    blind = {
        i.key: {"new": {"u": 0.5 + blind_effect}, "old": {"u": 0.5}} for i in instances(claim, "blind", salt="salt")
    }
    return runs | blind


def test_evidence_states_effect_verdict_hash_and_blind_disagreement(tmp_path):
    change = {"date": "2026-01-01", "what": "more prompts", "why": "noise"}
    claim = claim_of(tmp_path, amendments=[change])
    rows = summarise({"a": (claim, confirmed(claim, -0.2))})
    assert rows[0].confirmed.verdict == "HOLDS"
    assert rows[0].disagrees
    assert rows[0].gap.value == pytest.approx(0.5 / 1.5, abs=0.04)  # (1 - 0.5) / (2 - 0.5)
    page = evidence_page(rows)
    for part in (
        claim.hash,
        "HOLDS",
        "**disagrees**",
        "more prompts (noise)",
        "12 of 12",
        "plaudit lab run area/method",
        f"- effect: {rows[0].confirmed.effect.format()}, HOLDS\n",
    ):
        assert part in page
    table = [line for line in page.splitlines() if line.startswith("| new |")]
    assert len(table) == 1  # each number is a mean over the confirmatory instances, with its interval
    mean = np.mean([arms["new"]["u"] for key, arms in confirmed(claim, 0.4).items() if key[0] == "c"])
    assert re.search(rf"\| {mean:.3f} \[\d\.\d+, \d\.\d+\] \|", table[0])
    agrees = summarise({"a": (claim, confirmed(claim, 0.4))})
    assert not agrees[0].disagrees
    assert "**disagrees**" not in evidence_page(agrees)
    assert "interim" not in evidence_page(agrees)
    runs = confirmed(claim, 0.4)
    few = {key: arms for key, arms in runs.items() if key not in ("confirmatory-0", "blind-1", "blind-2", "blind-3")}
    page = evidence_page(summarise({"a": (claim, few)}))
    assert "| interim, 11 of 12: HOLDS |" in page
    assert "| interim, 1 of 4: agrees |" in page
    undecided = {k: {"new": {"u": (-1.0) ** i}, "old": {"u": 0.0}} for i, k in enumerate(runs)}
    page = evidence_page(summarise({"a": (claim, undecided)}))
    assert "UNDECIDED" in page
    assert "| no verdict to check |" in page
    assert "agree" not in page.partition("| --- |")[2]
    assert "not run" in evidence_page(summarise({"a": (claim, {})}))


def test_a_summary_puts_numbers_side_by_side(tmp_path):
    arms = {"arms": ["new@0", "new@20", "old@20", "top"], "contrast": ["new@20", "old@20"]}
    shown = {"summary": ["u@0", "u@20", "seconds@20", "v@20"], "notes": ["v is not measured"]}
    claim = claim_of(tmp_path, **arms, **shown)
    assert claim.hash == claim_of(tmp_path, **arms).hash
    # two instances: a mean of 1.5, and 12.706 times a standard error of 0.5 on either side
    runs = {
        f"confirmatory-{i}": {
            "new@0": {"u": 1.0 + i, "seconds": 100.0}, "new@20": {"u": 3.0, "seconds": 120.4},
            "old@20": {"u": 2.0, "seconds": 12.34}, "top": {"u": 9.0, "seconds": 0.0},
        }
        for i in range(2)
    }  # fmt: skip
    lines = evidence_page(summarise({"a": (claim, runs)})).splitlines()
    assert "- note: v is not measured" in lines
    at = lines.index("| arm | u@0 | u@20 | seconds@20 | v@20 |")
    assert lines[at + 2 : at + 6] == [
        "| new | 1.500±6.353 | 3.000±0.000 | 120±0 | - |", "| old | - | 2.000±0.000 | 12.3±0.0 | - |",
        "| top | 9.000±0.000 | 9.000±0.000 | 0.000±0.000 | - |", "",
    ]  # fmt: skip
    # several experiments with the same columns share one table, and have none of their own
    other = replace(claim, name="area/other", notes=())
    more = {key: {"top": {"u": 8.0, "seconds": 1.0}, "new@20": {"u": 4.0, "seconds": 2.0}} for key in runs}
    page = evidence_page(summarise({"a": (claim, runs), "b": (other, more)}))
    lines = page.splitlines()
    at = lines.index("## area/method, area/other in one table")
    assert lines[at + 4 : at + 14] == [
        "- [area/method](#areamethod): v is not measured", "",
        "| arm | experiment | u@0 | u@20 | seconds@20 | v@20 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| new | [area/method](#areamethod) | 1.500±6.353 | 3.000±0.000 | 120±0 | - |",
        "| old | [area/method](#areamethod) | - | 2.000±0.000 | 12.3±0.0 | - |",
        "| top | [area/method](#areamethod) | 9.000±0.000 | 9.000±0.000 | 0.000±0.000 | - |",
        "| new | [area/other](#areaother) | - | 4.000±0.000 | 2.000±0.000 | - |",
        "| top | [area/other](#areaother) | 8.000±0.000 | 8.000±0.000 | 1.000±0.000 | - |", "",
    ]  # fmt: skip
    assert "In one table (" not in page


def test_p_values_are_adjusted_within_an_area(tmp_path):
    claim = claim_of(tmp_path)
    runs = confirmed(claim, 0.4)
    other = replace(claim, name="elsewhere/method")
    flat = {k: {a: {"u": 0.5 + 0.1 * (i % 2 - 0.5)} for i, a in enumerate(v)} for k, v in runs.items()}
    rows = summarise({"a": (claim, runs), "b": (replace(claim, name="area/b"), runs), "c": (other, flat)})
    # two equal p-values p in one area: Benjamini-Hochberg gives min(p * 2 / 2) = p; alone: p
    assert rows[0].adjusted == pytest.approx(rows[0].confirmed.p_value)
    wide = {k: {"new": {"u": s}, "old": {"u": 0.0}} for k, s in zip(runs, [1.0, -1.0] * 6, strict=False)}
    rows = summarise({"a": (claim, runs), "b": (replace(claim, name="area/b"), wide)})
    # the smaller of two: p * 2 / 1
    assert rows[0].adjusted == pytest.approx(2 * rows[0].confirmed.p_value)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_effect_that_may_be_chance_among_so_many_is_marked(tmp_path, sign):
    claim = claim_of(tmp_path)
    # 12 differences of mean 1 and deviation 1.5: t = 2.31, p = 0.041; one of two it is 0.083
    root = (2.25 * 11 / 12) ** 0.5
    slight = {f"confirmatory-{i}": {"new": {"u": sign * (1 + root * (-1) ** i)}, "old": {"u": 0.0}} for i in range(12)}
    nothing = {k: {"new": {"u": (-1.0) ** i}, "old": {"u": 0.0}} for i, k in enumerate(slight)}
    other = replace(claim, name="area/b-2")
    assert not summarise({"a": (claim, slight)})[0].chance
    rows = summarise({"a": (claim, slight), "b": (other, nothing)})
    assert [row.chance for row in rows] == [True, False]
    lines = evidence_page(rows).splitlines()
    told = "WEAK" if sign > 0 else "REVERSED"
    low, high = (round(sign - 0.9531, 3), round(sign + 0.9531, 3))
    assert (
        f"| [area/method](#areamethod) | A | none | {sign:.3f} [{low:.3f}, {high:.3f}] | {told}, not when adjusted"
        in "".join(lines)
    )
    assert f"- effect: {sign:.3f} [{low:.3f}, {high:.3f}], {told}; not when adjusted within area (p 0.0827)" in lines
    assert any(line.startswith("| [area/b-2](#areab-2) | ") and "| UNDECIDED |" in line for line in lines)
    few = dict(list(slight.items())[:11])
    counts = evidence_page(
        summarise({"a": (claim, slight), "b": (other, nothing), "c": (replace(claim, name="area/c"), few)})
    )
    weak, reversed_ = (1, 0) if sign > 0 else (0, 1)
    assert f"| area | 3 | 0 | {weak} | 0 | {reversed_} | 1 | 1 | 1 | 0 |" in counts


def test_any_two_arms_are_compared_by_instances(tmp_path, monkeypatch, capsys):
    claim = find_experiment("training/strength_margins").claim
    # four instances whose arms differ by 0.1 to 0.4, the last without a log loss; two blind ones; one with one arm only
    found = {
        f"confirmatory-{i}": {"one": {"accuracy": 0.5 + i, "log_loss": 1.0}, "short": {"accuracy": 0.4 + 0.9 * i}}
        for i in range(4)
    }
    found |= {f"blind-{i}": {"one": {"accuracy": 0.5}, "short": {"accuracy": 0.5 + 0.1 * i}} for i in range(2)}
    found["confirmatory-7"] = {"one": {"accuracy": 9.0}}
    for arms in list(found.values())[:3]:
        arms["short"]["log_loss"] = 0.5
    experiment = find_experiment("training/strength_margins")
    recorded = replace(experiment, run_instance=lambda seed, arm, **_: by_seed[seed][arm])
    rows = [*instances(claim, "confirmatory"), *instances(claim, "blind")]
    by_seed = {r.seed: found[r.key] for r in rows if r.key in found}
    for r in rows:
        for arm in found.get(r.key, ()):
            run_experiment(recorded, [r], folder=tmp_path, fit=no_fit, arms=[arm])
    folder = ["--folder", str(tmp_path)]
    assert main(["lab", "contrast", "strength_margins", "one", "short", *folder]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "training/strength_margins: accuracy of one minus short"
    # mean 0.25, deviation 0.1291: 0.25 plus and minus 3.182 times 0.06455
    assert printed[1] == "    confirmatory: 0.250 [0.045, 0.455] over 4 instances"
    # 0 and -0.1: a mean of -0.05, plus and minus 12.706 times 0.05
    assert printed[2] == "    blind: -0.050 [-0.685, 0.585] over 2 instances"
    assert "no verdict" in printed[3]
    assert main(["lab", "contrast", "strength_margins", "one", "short", "--metric", "log_loss", *folder]) == 0
    assert "confirmatory: 0.500 [0.500, 0.500] over 3 instances" in capsys.readouterr().out
    # without --folder: what was run here, else what a clone of Plaudit holds
    (tmp_path / "clone" / "docs").mkdir(parents=True)
    (tmp_path / "clone" / "docs" / "evidence").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "clone")
    assert main(["lab", "contrast", "strength_margins", "one", "short"]) == 0
    kept = capsys.readouterr()
    assert (kept.out.splitlines(), kept.err) == (printed, "results are those of docs/evidence\n")
    assert main(["lab", "evidence", "--area", "training"]) == 0
    assert "\n| one | 3.400 [" in capsys.readouterr().out
    (tmp_path / "clone" / "runs" / "lab").mkdir(parents=True)
    assert main(["lab", "contrast", "strength_margins", "one", "short"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no instance of training/strength_margins in runs/lab" in line
    assert main(["lab", "list"]) == 0
    assert capsys.readouterr().err == (
        "results are those of runs/lab; those that this clone holds: --folder docs/evidence\n"
    )
    for arms, said in (
        (["one", "shorts"], "has no arm 'shorts'; did you mean 'short'"),
        (["one", "short", "--metric", "acuracy"], "has no number 'acuracy'; did you mean 'accuracy'?"),
        (["one", "leave"], f"in {tmp_path} has accuracy of both one and leave; give --folder, or run plaudit lab run"),
    ):
        assert main(["lab", "contrast", "strength_margins", *arms, *folder]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert main(["lab", "contrast", "nothing-like-it", "a", "b"]) == 2
    assert "experiment 'nothing-like-it' is not known; plaudit lab list names them all" in capsys.readouterr().err


def test_catalogue_lists_and_finds():
    claims = list_experiments()
    assert {"training/data_scaling", "search/best_of_n_overoptimisation"} <= set(claims)
    assert find_experiment("data_scaling").claim.name == "training/data_scaling"
    with pytest.raises(InputError, match="did you mean 'training/data_scaling'"):
        find_experiment("data_scalling")


@pytest.mark.parametrize("name", ["data_scaling", "best_of_n_overoptimisation", "verifier_outcomes"])
def test_smoke_runs_of_the_shipped_experiments(name, smoke):
    """With a scorer fitted by counting words: the machinery, not the claim."""

    def fit(pairs, *, seed, size):
        weight = {}
        for row in pairs:
            for sign, text in ((1, row.chosen), (-1, row.rejected)):
                for word in text.split():
                    weight[word] = weight.get(word, 0) + sign
        return lambda samples: np.array([float(sum(weight.get(w, 0) for w in s.text.split())) for s in samples])

    arms = smoke(name, fit=fit)
    if name == "data_scaling":
        assert arms["oracle"]["accuracy"] == 1.0
        assert all(0 <= numbers["accuracy"] <= 1 for numbers in arms.values())
        assert arms["pairs_3000"]["distinct_pairs"] > arms["pairs_300"]["distinct_pairs"]
    elif name == "verifier_outcomes":
        assert all(0 <= numbers["unfinished"] <= 1 for numbers in arms.values())
        assert arms["start"]["loops_trained"] == 0.0
        assert arms["coin"]["reward_trained"] > 0.2  # half of what a coin gives, whatever the policy says
    else:
        assert arms["oracle"]["drop"] == 0.0  # the truth as its own proxy only rises
        # arms share the pool; a proxy's order decides in which order the same numbers are added
        assert np.ptp([numbers["true_1"] for numbers in arms.values()]) < 1e-12


def test_the_command_lists_and_writes_the_page(tmp_path, capsys):
    assert main(["lab", "list", "--folder", str(tmp_path)]) == 0
    assert "training/data_scaling  grade B, world assistant, 0 confirmatory" in capsys.readouterr().out
    assert main(["lab", "evidence", "--folder", str(tmp_path), "--out", str(tmp_path / "e.md")]) == 0
    assert (tmp_path / "e.md").read_text().startswith("# Evidence")
    assert main(["lab", "run", "data_scaling", "--instances", "confirmatory:x", "--folder", str(tmp_path)]) == 2
    assert "--instances is 'confirmatory:x'" in capsys.readouterr().err
    assert main(["lab", "evidence", "--folder", str(tmp_path / "evidnce")]) == 2
    assert "evidnce: no such folder" in capsys.readouterr().err
    for words in (["list"], ["contrast", "strength_margins", "one", "short"]):
        assert main(["lab", *words, "--folder", str(tmp_path / "nowhere")]) == 2
        assert "nowhere: no such folder; give --folder" in capsys.readouterr().err
    assert main(["lab", "run", "nothing", "--folder", str(tmp_path)]) == 2
