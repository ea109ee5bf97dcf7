"""The main job on a world, on files and in folds; only what a change touches runs again."""

import json
import shutil

import numpy as np
import pytest
import yaml

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.recipes import load_recipe, measuring, run_recipe
from plaudit.records import read
from plaudit.report.folder import read_report
from plaudit.rewards.files import read_scored
from plaudit.rewards.registry import load
from small_data import TINY, pair_rows, write_rows

STAGES = ["data", "train", "score", "evaluate", "audit", "select", "report"]
FILES = ["data.world=null", "model.vocabulary=300", "evaluate.subsets=[lang]"]


def run(path, out, *settings):
    """The verdicts, the names of the stages that ran, and everything that was told."""
    lines = []
    verdicts = run_recipe(load_recipe(path, settings), out, emit=lines.append)
    return verdicts, [line.split()[1] for line in lines if line.startswith("+ ")], lines


@pytest.fixture(scope="module")
def finished(world_cache, tmp_path_factory):
    """A finished run of the tiny recipe: its recipe's path and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAUDIT_CACHE", str(world_cache))
        run(folder / "tiny.yaml", folder / "run")
    return folder / "tiny.yaml", folder / "run"


@pytest.fixture
def copied(finished, tiny, tmp_path):
    shutil.copytree(finished[1], tmp_path / "run")
    return finished[0], tmp_path / "run"


def test_a_run_leaves_what_the_design_promises(finished):
    path, out = finished
    report = read_report(out)
    assert report.evaluation.n_pairs == 40
    assert report.evaluation.truth is not None
    assert [n for n in report.curve.ns] == [1, 2]
    assert report.verdict.headline in (out / "report.html").read_text()
    kept = json.loads((out / "run.json").read_text())
    assert kept["configuration"]["train"]["batch_size"] == 8
    assert kept["data"]["train"] == read(out / "data" / "train.jsonl").data_hash
    assert kept["data"]["test"] == read(out / "data" / "test.jsonl").data_hash
    assert "torch" in kept["versions"]
    assert load_recipe(out / "recipe.yaml") == load_recipe(path)
    scored = read_scored(out / "scores" / "held-out.jsonl")
    pairs = read(out / "data" / "test.jsonl").rows
    again = load(out)([s for p in pairs for s in p.samples()])
    np.testing.assert_allclose(scored.batch.reward, again.reward, atol=1e-4)
    right = scored.batch.reward[::2] > scored.batch.reward[1::2]
    assert report.evaluation.accuracy.value == pytest.approx(right.mean())


def test_finished_stages_are_skipped(copied):
    before = (copied[1] / "report.json").read_bytes()
    _, ran, lines = run(*copied)
    assert ran == []
    assert sum("finished before" in line for line in lines) == len(STAGES)
    assert (copied[1] / "report.json").read_bytes() == before


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ("title=another", ["report"]),
        ("report.texts=false", ["report"]),
        ("audit.prompts=3", ["audit", "report"]),
        ("audit.thresholds.bias=9", ["audit", "report"]),
        ("select.ns=[1]", ["select", "report"]),
        ("evaluate.subsets=[]", ["evaluate", "audit", "report"]),
        ("data.world.pool_prompts=9", ["audit", "select", "report"]),
        ("train.learning_rate=2e-3", ["train", "score", "evaluate", "audit", "select", "report"]),
        ("data.world.knobs.flips=0.1", STAGES),
    ],
)
def test_a_changed_key_runs_what_depends_on_it_and_nothing_else(copied, setting, again):
    assert run(*copied, setting)[1] == again
    assert run(*copied, setting)[1] == []


def test_an_edited_output_is_made_again(copied):
    with open(copied[1] / "scores" / "held-out.jsonl", "a") as file:
        file.write("\n")
    _, ran, lines = run(*copied)
    assert ran == ["score"]  # it comes out as it was, so nothing after it changes
    assert any("scores/held-out.jsonl is missing or was changed" in line for line in lines)


def test_the_users_own_files(tiny, tmp_path):
    train = write_rows(tmp_path / "a.jsonl", pair_rows(40))
    test = write_rows(tmp_path / "b.jsonl", [*pair_rows(20, start=100), *pair_rows(2)])
    candidates = [{"prompt": f"question {i}", "completion": f"a {w} answer"} for i in range(5) for w in ("good", "bad")]
    pool = write_rows(tmp_path / "c.jsonl", candidates)
    out = tmp_path / "run"
    files = [f"data.train={train}", f"data.test={test}", f"data.candidates={pool}"]
    verdicts, ran, lines = run(tiny, out, *FILES, *files)
    assert ran == ["data", "candidates", "train", "score", "evaluate", "audit", "pick", "report"]
    assert verdicts["tiny"].truth_known is False
    assert "  2 prompts stand in both training and test file: accuracy on them flatters" in lines
    assert "2 prompts stand in both" in (out / "report.html").read_text()
    best = read_scored(out / "best.jsonl")
    assert len(best.samples) == 5
    each = {s.key: r for s, r in zip(read(pool).rows, load(out)(list(read(pool).rows)).reward, strict=True)}
    for sample, reward in zip(best.samples, best.batch.reward, strict=True):
        rivals = [s for s in read(pool).rows if s.prompt == sample.prompt]
        assert reward == pytest.approx(max(each[s.key] for s in rivals), abs=1e-4)
    write_rows(pool, candidates[:6])
    assert run(tiny, out, *FILES, *files)[1] == ["candidates", "pick", "report"]
    write_rows(test, pair_rows(21, start=100))
    assert "evaluate" in run(tiny, out, *FILES, *files)[1]


def test_samples_of_a_shifted_policy_are_trained_with_and_a_changed_file_trains_again(tiny, tmp_path):
    train = write_rows(tmp_path / "a.jsonl", pair_rows(40))
    test = write_rows(tmp_path / "b.jsonl", pair_rows(20, start=100))
    rows = [
        {"prompt": f"question {i}", "completion": f"a {w} answer"} for i in range(6) for w in ("good", "bad", "new")
    ]
    shifted = write_rows(tmp_path / "s.jsonl", rows)
    files = [f"data.train={train}", f"data.test={test}", f"data.shifted={shifted}", "train.meta_rate=1e-3"]
    run(tiny, tmp_path / "run", *FILES, *files)
    assert load(tmp_path / "run").manifest.training["shifted"]["completions"] == 18
    assert run(tiny, tmp_path / "run", *FILES, *files)[1] == []
    write_rows(shifted, rows[:9])
    assert "train" in run(tiny, tmp_path / "run", *FILES, *files)[1]
    with pytest.raises(InputError, match="shifted"):
        run(tiny, tmp_path / "bare", *FILES, *files[:2], "train.meta_rate=1e-3")


def test_one_file_is_split_by_prompt_and_missing_columns_are_told(tiny, pairs_file, tmp_path, capsys):
    settings = [
        "--set",
        "data.world=null",
        "--set",
        "model.vocabulary=300",
        "--set",
        f"data.train={pairs_file}",
    ]
    assert main(["run", str(tiny), "--out", str(tmp_path / "run"), *settings]) == 0
    printed = capsys.readouterr().out
    assert "no held-out pair has a column 'kind': nothing is measured by it" in printed
    assert f"report  {tmp_path / 'run' / 'report.html'}" in printed
    train, test = (read(tmp_path / "run" / "data" / f"{p}.jsonl").rows for p in ("train", "test"))
    assert len(train) + len(test) == 48
    assert not {r.prompt for r in train} & {r.prompt for r in test}


def test_the_first_alternative_that_is_there(tiny, pairs_file, tmp_path):
    settings = [*FILES, f"data.train={tmp_path / 'none.jsonl'} | {pairs_file}"]
    run(tiny, tmp_path / "run", *settings)
    assert f'"{pairs_file}"' in (tmp_path / "run" / "stages" / "data" / "done.json").read_text()


def test_broken_rows_are_set_aside_in_the_run(tiny, pairs_file, tmp_path):
    with open(pairs_file, "a") as file:
        file.write('{"prompt": "q", "chosen": 7}\n')
    settings = [*FILES, f"data.train={pairs_file}"]
    with pytest.raises(InputError, match=r"row 49.*--set data.skip_broken=true"):
        run(tiny, tmp_path / "run", *settings)
    assert not (tmp_path / "run").exists()
    _, _, lines = run(tiny, tmp_path / "run", *settings, "data.skip_broken=true")
    assert any("1 broken rows were set aside" in line for line in lines)
    assert json.loads((tmp_path / "run" / "data" / "broken-train.jsonl").read_text())["row"] == 49


def _bert(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

    words = "[PAD] [UNK] [CLS] [SEP] a good bad answer question at length : user assistant".split()
    words += [str(i) for i in range(300)]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=core, **names).save_pretrained(folder)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen encoder", "decoder from scratch"])
def test_folds_score_every_pair_by_a_model_that_never_saw_its_prompt(tiny, tmp_path, monkeypatch, frozen):
    rows = [
        {"prompt": f"question {i % 20}", "chosen": f"a {c} answer", "rejected": f"{r} answer {i}"}
        for i, (c, r) in enumerate([("good", "bad"), ("bad", "good"), ("good", "a good")] * 10)
    ]
    data = write_rows(tmp_path / "some.jsonl", rows)
    settings = [*FILES, f"data.train={data}", "data.folds=3", "evaluate.subsets=[]"]
    if frozen:
        settings += [f"model.name={_bert(tmp_path / 'bert')}", "train={freeze: true, max_length: 128}"]
    models = []
    fit = getattr(measuring, "fit_frozen" if frozen else "train_reward")

    def recording(pairs, *args, **options):
        made = fit(pairs, *args, **options)
        models.append(({p.prompt for p in pairs}, made if frozen else made.reward))
        return made

    monkeypatch.setattr(measuring, fit.__name__, recording)
    out = tmp_path / "run"
    _, ran, _ = run(tiny, out, *settings)
    assert ran == ["data", "train", "score", "evaluate", "audit", "report"]
    assert read_report(out).evaluation.n_pairs == 30
    assert len(models) == 3
    pairs = read(out / "data" / "train.jsonl").rows
    scored = read_scored(out / "scores" / "held-out.jsonl")
    # in the order of the file, chosen, rejected, chosen, ..., whatever the order of the folds
    samples = [s for p in pairs for s in p.samples()]
    assert [(s.prompt, s.text) for s in scored.samples] == [(s.prompt, s.text) for s in samples]
    for pair, given in zip(pairs, scored.batch.reward.reshape(-1, 2), strict=True):
        blind = [model for seen, model in models if pair.prompt not in seen]
        assert len(blind) == 1
        log_odds = [d["score"] for d in blind[0](list(pair.samples())).detail]
        np.testing.assert_allclose(given, log_odds, atol=1e-4)
    assert not list((out / "stages" / "score").rglob("*.safetensors"))  # models of folds are not kept
    assert run(tiny, out, *settings)[1] == []


def test_variants_run_in_folders_of_their_own_and_are_checked_first(tiny, pairs_file, tmp_path):
    tree = yaml.safe_load(tiny.read_text()) | {
        "data": {"train": str(pairs_file)},
        "model": {**TINY["model"], "vocabulary": 300},
        "variants": {"narrow": {"model": {"width": 16}}, "wide": {"model.width": 32}},
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(tree))
    verdicts, _, _ = run(path, tmp_path / "run")
    assert list(verdicts) == ["narrow", "wide"]
    for name, width in (("narrow", 16), ("wide", 32)):
        assert json.loads((tmp_path / "run" / name / "model" / "config.json").read_text())["hidden_size"] == width
    tree["variants"]["wide"] = {"model.widht": 3}
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match=r"variant wide: unknown key 'model.widht'"):
        run(path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_before_and_after(copied, tiny, tmp_path):
    before = tmp_path / "before"
    tree = TINY | {"name": "after", "baseline": {"recipe": str(tiny), "out": str(before)}}
    tree["train"] = {**TINY["train"], "epochs": 4}
    path = tmp_path / "after.yaml"
    path.write_text(yaml.safe_dump(tree))
    _, ran, _ = run(path, tmp_path / "after")
    assert ran == [*STAGES, *STAGES]
    report = read_report(tmp_path / "after")
    change = next(c for c in report.changes if c.name == "accuracy on held-out labels")
    assert change.before == read_report(before).evaluation.accuracy
    assert change.after == report.evaluation.accuracy
    # the same pairs on both sides: the difference is paired
    assert change.difference.value == pytest.approx(change.after.value - change.before.value)
    assert run(path, tmp_path / "after")[1] == []
    with pytest.raises(InputError, match="compared with itself"):
        run(path, before)
