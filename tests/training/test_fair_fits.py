"""Regularisers of groups in a run: the step is the whole batch's, however it is divided; and it serves its groups."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from plaudit.cli.main import main
from plaudit.engine.rendering import Encoder
from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, write
from plaudit.stats.dependence import attribute_matrix
from plaudit.training.config import FitConfig
from plaudit.training.fitting import build
from plaudit.training.methods import chosen

QUICK = dict(epochs=1.0, learning_rate=3e-3, batch_size=4, max_length=96, save_steps=1000)
DCOV = "distance-covariance?coef=3"
METHODS = {
    "identity-scaling": "language",
    "error-bound?gamma=2": "language",
    DCOV: "language,age",
    "conditional-parity?protected=de&strata=level&coef=20": "language",
}


@pytest.fixture
def rows():
    def made(n=8):
        found = []
        for i in range(n):
            meta = {"language": "de" if i % 3 == 0 else "en", "age": 20 + 7 * i % 11, "level": "ab"[i % 2], "w": i % 4}
            good, bad = f"a good answer {i} " + "indeed " * (i % 4), f"a bad answer {i} " + "alas " * (i * 7 % 5)
            found.append(Pair((Message("user", f"question {i // 2}"),), good, bad, meta=meta))
        return found

    return made


def same(one, other, parameters, tolerance):
    first, second = parameters(one), parameters(other)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=tolerance, rtol=0)


@pytest.mark.usefixtures("by_descent")
@pytest.mark.parametrize("fair", METHODS)
def test_eight_steps_of_one_are_one_step_of_eight(fair, rows, fit, parameters, tmp_path):
    """Packed into one row or eight, accumulated or not: the same loss and the same weights after a step."""
    options = dict(fair=fair, group=METHODS[fair], learning_rate=0.5, warmup=0.0, max_grad_norm=0.0)
    whole = fit(tmp_path / "8x1", rows(), batch_size=8, **options)
    divided = fit(tmp_path / "1x8", rows(), batch_size=1, accumulation=8, **options)
    packed = fit(tmp_path / "rows", rows(), batch_size=8, tokens_per_row=16, **options)
    plain = fit(tmp_path / "plain", rows(), batch_size=8, **{**options, "fair": "", "group": ""})
    for other in (divided, packed):
        assert other.losses == pytest.approx(whole.losses, abs=1e-5)
        same(other, whole, parameters, 1e-5)
    assert max(np.abs(p - q).max() for p, q in zip(
        (p.numpy() for p in parameters(plain).values()), (p.numpy() for p in parameters(whole).values()), strict=True
    )) > 1e-4  # fmt: skip


@pytest.mark.usefixtures("by_descent")
def test_a_step_is_that_of_the_formula(rows, fit, small, parameters, tmp_path):
    """Mean loss plus coef * dCov^2 by autograd through the plain model, a sequence at a time."""
    options = {**QUICK, "batch_size": 8, "warmup": 0.0, "max_grad_norm": 0.0, "learning_rate": 0.5,
               "fair": "distance-covariance?coef=3&corrected=false", "group": "language,age"}  # fmt: skip
    fitted = parameters(fit(tmp_path, rows(), **options))
    model, d = plain_margins(rows(), small, FitConfig(**options))
    attributes = torch.from_numpy(attribute_matrix([[r.meta[k] for r in rows()] for k in ("language", "age")])).float()

    def centred(m):
        return m - m.mean(0) - m.mean(1)[:, None] + m.mean()

    far = torch.stack([torch.stack([(x - y).norm() for y in attributes]) for x in attributes])
    penalty = (centred((d[:, None] - d[None]).abs()) * centred(far)).mean()
    (-F.logsigmoid(d).mean() + 3 * penalty).backward()
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            torch.testing.assert_close(fitted[name], (weight - 0.5 * weight.grad).detach(), atol=2e-5, rtol=0)


def test_the_manifest_says_by_whom_and_how(rows, fit, tmp_path):
    found = fit(tmp_path, rows(), fair="error-bound?gamma=2", group="language").reward.manifest.training
    assert found["fair"] == {
        "name": "error-bound", "options": {"gamma": 2.0}, "columns": ["language"], "groups": {"de": 3, "en": 5},
    }  # fmt: skip
    assert found["config"]["fair"] == "error-bound?gamma=2"


def test_ranked_rows_give_their_group_to_all_their_pairs(ranked, fit, tmp_path):
    rows = [Ranked(r.prompt, r.completions, r.scores, meta={"language": "ab"[i % 2]}) for i, r in enumerate(ranked())]
    found = fit(tmp_path, rows, fair="identity-scaling", group="language")
    assert found.reward.manifest.training["fair"]["groups"] == {"a": 18, "b": 18}  # three lists of four: six pairs each


def test_contrastive_views_go_along(rows, fit, tmp_path):
    found = fit(tmp_path, rows(), fair="error-bound", group="language", contrastive_coef=0.5)
    assert np.isfinite(found.losses).all()


def plain_margins(rows, small, config):
    """The untrained model and its margins, a sequence at a time."""
    model, tokenizer, template = build(rows, small, config)
    encoder = Encoder(tokenizer, template)

    def score(prompt, completion):
        ids = encoder.encode_group(prompt, [completion])[0].ids
        return model(torch.tensor(ids[None].astype(np.int64))).logits[0, 0].squeeze()

    return model, torch.stack([score(r.prompt, r.chosen) - score(r.prompt, r.rejected) for r in rows])


def test_rows_weigh_as_their_column_says(rows, fit, small, tmp_path):
    config = FitConfig(**{**QUICK, "batch_size": 8})
    weighed = fit(tmp_path, rows(), row_weight="w", batch_size=8)
    kept = [r for r in rows() if r.meta["w"]]
    assert weighed.pairs == len(kept) == 6  # two rows of weight 0 are left out
    _, d = plain_margins(kept, small, config)
    weight = torch.tensor([float(r.meta["w"]) for r in kept])
    expected = -(weight * F.logsigmoid(d)).sum() / weight.sum()
    assert weighed.losses == pytest.approx([expected.item()], abs=1e-5)


def plain_outputs(rows, small, config):
    """What the untrained model says of both sides of each row, (n, 2, heads), a sequence at a time."""
    model, tokenizer, template = build(rows, small, config)
    encoder, said = Encoder(tokenizer, template), []
    for row in rows:
        both = encoder.encode_group(row.prompt, [row.chosen, row.rejected])
        said.append(torch.stack([model(torch.tensor(e.ids[None].astype(np.int64))).logits[0] for e in both]))
    return torch.stack(said).detach()


def halves(rows):
    """Every other row says that it is not known which is better."""
    return [replace(r, meta={**r.meta, "labelled": i % 2 == 0}) for i, r in enumerate(rows)]


def test_internal_agreement_weighs_its_pairs(rows, fit, small, tmp_path):
    config = FitConfig(**QUICK | {"batch_size": 8, "objective": "internal-agreement"})
    given = [replace(r, meta={**r.meta, "w": 1 + i % 3}) for i, r in enumerate(halves(rows()))]
    fitted = fit(tmp_path, given, row_weight="w", batch_size=8, objective="internal-agreement")
    total = 0.0
    # by hand, of the two leads y and z: -log sigmoid of both, halved, where there is a label; else how far they are
    # apart, a tenth of their mean entropy, and -log sigmoid|y| where they agree
    for row, said in zip(given, plain_outputs(given, small, config), strict=True):
        y, z = ((said[0] - said[1]).double()).tolist()
        p, q = (1 / (1 + np.exp(-x)) for x in (y, z))
        if row.meta["labelled"]:
            loss = -(np.log(p) + np.log(q)) / 2
        else:
            entropy = sum(-c * np.log(c) - (1 - c) * np.log(1 - c) for c in (p, q)) / 2
            loss = (p - q) * (y - z) + 0.1 * entropy + (np.log1p(np.exp(-abs(y))) if y * z > 0 else 0.0)
        total += row.meta["w"] * loss
    assert fitted.losses == pytest.approx([total / sum(r.meta["w"] for r in given)], abs=1e-5)


def test_a_cross_encoder_weighs_its_pairs(rows, fit, small, tmp_path):
    config = FitConfig(**QUICK | {"batch_size": 8, "objective": "cross-encoder"})
    fitted = fit(tmp_path, rows(), row_weight="w", batch_size=8, objective="cross-encoder")
    kept = [r for r in rows() if r.meta["w"]]
    shown = chosen("cross-encoder").rows(kept)  # both completions in one text, in either order
    said = plain_outputs(shown, small, config)[:, :, 0]
    weight = torch.tensor([float(r.meta["w"]) for r in kept])
    expected = -(weight * F.logsigmoid((said[:, 0] - said[:, 1]) / 2)).sum() / weight.sum()
    assert fitted.losses == pytest.approx([expected.item()], abs=1e-5)


@pytest.mark.parametrize("objective", ["internal-agreement", "cross-encoder"])
def test_a_row_of_weight_zero_changes_nothing_of_a_fit(objective, rows, fit, parameters, tmp_path):
    given = [replace(r, meta={**r.meta, "w": 1 + i % 3}) for i, r in enumerate(halves(rows()))]
    idle = Pair((Message("user", "nobody asks"),), "nothing at all", "even less", meta={"w": 0, "labelled": False})
    options = dict(row_weight="w", objective=objective)
    without = fit(tmp_path / "without", given, **options)
    mixed = [*given[:3], idle, *given[3:], replace(idle, meta=idle.meta | {"labelled": True})]
    beside = fit(tmp_path / "beside", mixed, **options)
    assert beside.pairs == without.pairs == 8
    assert beside.losses == without.losses
    same(beside, without, parameters, 0)
    assert (beside.reward.manifest.offset, beside.reward.manifest.scale) == (
        without.reward.manifest.offset, without.reward.manifest.scale,
    )  # fmt: skip


def test_the_command(rows, tmp_path, capsys):
    write(tmp_path / "pairs.jsonl", rows(12))
    size = ["--width", "32", "--layers", "1", "--heads", "2", "--vocabulary", "300"]
    command = ["train", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "run"), *size]
    assert main([*command, "--group", "language", "--fair", "error-bound?gamma=1"]) == 0
    assert "fair: error-bound by language (pairs: de 4, en 8)" in capsys.readouterr().out
    assert main(["train", "--fair", "help"]) == 0
    assert "conditional-parity" in capsys.readouterr().out
    assert main([*command, "--group", "langage", "--fair", "error-bound"]) == 2
    assert "row 1 has no value in the column 'langage'; did you mean 'language'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(group="language"), "group: 'language' has no effect without fair; set it (plaudit train --fair help)"),
        (dict(fair="error-bound"), "fair error-bound: there is no group; name the column of the rows (--group COLUMN)"),
        (dict(fair="error-bond", group="a"), "fair 'error-bond' is not known; did you mean 'error-bound'?"),
        (
            dict(fair="error-bound", group="a,b"),
            "fair error-bound: group names 2 columns; give one, or use distance-covariance",
        ),
        (
            dict(fair="error-bound?gamma=-1", group="a"),
            "fair error-bound: gamma is -1.0; give a number of at least 0",
        ),
        (
            dict(fair="identity-scaling?group_share=2", group="a"),
            "fair identity-scaling: group_share is 2.0; give a number of at least 0 and at most 1",
        ),
        (
            dict(fair="identity-scaling?temperature=0", group="a"),
            "fair identity-scaling: temperature is 0.0; give a number above 0",
        ),
        (
            dict(fair="conditional-parity", group="a"),
            "fair conditional-parity: protected is missing; name the group's value (?protected=VALUE)",
        ),
        (
            dict(fair="distance-covariance", group="a", batch_size=3),
            "fair distance-covariance: batch_size 3 times accumulation 1 is a step of fewer than 4 groups, which says "
            "nothing of them; raise either",
        ),
        (
            dict(fair="error-bound", group="a", objective="thurstone"),
            "fair has no effect on thurstone; leave it out, or use bradley-terry",
        ),
        (
            dict(fair="error-bound", group="a", freeze=True),
            "fair has no effect on a frozen head; leave it out, or leave out freeze",
        ),
        (
            dict(fair="error-bound", group="a", meta_rate=0.1),
            "fair: a step looks ahead either for groups or for a shifted policy; leave out meta_rate",
        ),
        (
            dict(row_weight="w", objective="plackett-luce"),
            "row_weight weighs pairs, and plackett-luce is a mean over lists; leave it out",
        ),
        (
            dict(row_weight="w", objective="implicit-dpo"),
            "row_weight has no effect on implicit-dpo, which weighs all rows alike; leave it out",
        ),
        (
            dict(row_weight="w", objective="gated-aspects"),
            "row_weight weighs pairs, and gated-aspects is a mean over sequences; leave it out",
        ),
    ],
)
def test_combinations_without_an_effect_are_refused(options, message):
    with pytest.raises(InputError) as error:
        FitConfig(**options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(fair="error-bound", group="all"),
            "fair error-bound: column 'all' has one value, 'x', in all 8 rows; there is nothing to compare",
        ),
        (
            dict(fair="error-bound", group="id"),
            "fair error-bound: column 'id' has 8 values in 8 rows; groups of one pair say nothing: put the values into "
            "bins, or use distance-covariance",
        ),
        (
            dict(fair="conditional-parity?protected=fr", group="language"),
            "fair conditional-parity: protected is 'fr', which 'language' never is; known: de, en",
        ),
        (dict(row_weight="language"), "row_weight: row 1 has 'language' 'de'; give a number of at least 0"),
        (dict(row_weight="zero"), "row_weight: column 'zero' is 0 in all 8 rows; there is nothing to learn"),
    ],
)
def test_what_the_rows_cannot_say_is_refused(options, message, rows, fit, tmp_path):
    given = [
        Pair(r.prompt, r.chosen, r.rejected, meta={**r.meta, "all": "x", "id": i, "zero": 0})
        for i, r in enumerate(rows())
    ]
    with pytest.raises(InputError) as error:
        fit(tmp_path, given, **options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("which", "message"), [(True, "none of the 4 pairs is labelled"), (False, "has labelled false")]
)
def test_rows_of_weight_zero_do_not_count_as_labelled_or_not(which, message, fit, pairs, tmp_path):
    rows = [
        replace(row, meta={"labelled": i % 2 == 0, "w": float((i % 2 == 0) != which)}) for i, row in enumerate(pairs(8))
    ]
    with pytest.raises(InputError, match=message):
        fit(tmp_path, rows, objective="internal-agreement", row_weight="w")
