"""From rows to groups to packed rows: which pairs, which labels, which loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForSequenceClassification

from plaudit.engine.engine import Engine, install_head
from plaudit.engine.rendering import Encoder, Template
from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Rated, Sample, Unpaired
from plaudit.records.weights import length_balance, weights_of
from plaudit.training.backbones import fit_tokenizer
from plaudit.training.collating import Collator
from plaudit.training.columns import pair_columns
from plaudit.training.groups import encode_groups
from plaudit.training.losses.lists import borda, plackett_luce, rank_list
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.shifted import shifted_lists
from plaudit.training.trainer import row_outputs

PROMPT = (Message("user", "which is good"),)


@pytest.fixture(scope="module")
def encoder():
    tokenizer = fit_tokenizer(["which is good bad better worse user assistant"], 300)
    return Encoder(tokenizer, Template.of(tokenizer, max_length=200))


@pytest.fixture
def model(encoder):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(encoder.tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_labels=1, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    return install_head(LlamaForSequenceClassification(config)).eval()


ROWS = [
    Ranked(PROMPT, ("good", "bad", "better", "worse"), (2.0, 1.0, 3.0, 1.0)),
    Pair(PROMPT, "good", "bad", margin=0.5),
    Pair((Message("user", "is it"),), "better", "worse " * 20),
]


def loss_of(batch, model, **options):
    parts = [
        bradley_terry(
            row_outputs(model, row)[:, 0], row["pairs"], margin=row["margin"], weight=row["weight"], **options
        )
        for row in batch["rows"]
    ]
    return sum(parts)


def test_a_ranked_row_becomes_all_its_pairs(encoder):
    (group,) = encode_groups(ROWS[:1], encoder)
    # scores 2 1 3 1: good beats bad and worse, better beats the three others; bad and worse are tied
    assert sorted(zip(group.better, group.worse, strict=True)) == [(0, 1), (0, 3), (2, 0), (2, 1), (2, 3)]
    assert group.n_pairs == 5
    assert len(group.sequences) == 4


def test_labels_weights_and_margins_of_rows(encoder):
    groups = encode_groups(ROWS, encoder, weights=[1.0, 2.0, 0.5])
    assert [g.weight.tolist() for g in groups] == [[1.0] * 5, [2.0], [0.5]]
    # of a list the differences of its scores 2 1 3 1, in the order of the pairs above
    assert [g.margin.tolist() for g in groups] == [[1.0, 1.0, 1.0, 2.0, 2.0], [0.5], [0.0]]
    batch = Collator(budget=10_000)(groups)
    assert float(batch["n_items"]) == 7.5


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_the_loss_of_a_step_is_the_sum_over_pairs_scored_singly(tree, budget, encoder, model):
    """However rows are packed: k completions of a group give all its pairs from one tree."""
    groups = encode_groups(ROWS, encoder, weights=[1.0, 2.0, 0.5])
    if tree:
        assert Engine(model).gate.open
    options = dict(label_smoothing=0.1, center_coef=0.01)
    with torch.no_grad():
        found = loss_of(Collator(budget=budget, tree=tree)(groups), model, **options)
        expected = torch.zeros(())
        for group in groups:
            alone = [model(torch.tensor([s.tolist()])).logits[0, 0] for s in group.sequences]
            for i in range(group.n_pairs):
                expected += bradley_terry(
                    torch.stack([alone[group.better[i]], alone[group.worse[i]]]), torch.tensor([[0, 1]]),
                    margin=torch.tensor(group.margin[i : i + 1]), weight=torch.tensor(group.weight[i : i + 1]),
                    **options,
                )  # fmt: skip
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_group_runs_its_prompt_once(encoder, model):
    assert Engine(model).gate.open
    (group,) = encode_groups([Ranked(PROMPT, tuple("abcdefgh"), tuple(range(8)))], encoder)
    assert group.n_pairs == 28
    (row,) = Collator()([group])["rows"]
    prompt, whole = encoder.encode(PROMPT, "a").prompt_length, sum(s.size for s in group.sequences)
    # the prompt once (" a" and its seven fellows may be tokens with or without the space), then what each adds
    assert row["input_ids"].numel() <= whole - 7 * (prompt - 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 200), st.booleans())
def test_every_group_is_in_one_row_within_the_budget(lengths, budget, tree):
    rng = np.random.default_rng(0)
    from plaudit.training.groups import Group

    one = np.ones(1, dtype=np.float32)
    zero = np.zeros(1, dtype=np.int64)
    groups = [
        Group(
            tuple(rng.integers(0, 9, m).astype(np.int32) for m in (n, max(n - 3, 1))),
            zero,
            zero + 1,
            one * i,
            one,
        )
        for i, n in enumerate(lengths)
    ]
    batch = Collator(budget=budget, tree=tree)(groups)
    seen = []
    for row in batch["rows"]:
        flat, leaves = row["input_ids"].reshape(-1), row["leaf_positions"]
        assert row["input_ids"].numel() <= budget or len(row["margin"]) == 1
        for (better, worse), which in zip(row["pairs"].tolist(), row["margin"].tolist(), strict=True):
            group = groups[int(which)]  # the margin carries the group's number here
            assert [int(flat[leaves[i]]) for i in (better, worse)] == [int(s[-1]) for s in group.sequences]
            seen.append(int(which))
    assert sorted(seen) == list(range(len(groups)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            Ranked(PROMPT, ("a", "b"), (1.0, 1.0)),
            "row 1: all 2 completions have the same score; nothing to learn",
        ),
        (Ranked(PROMPT, ("a", "b"), (1.0, float("nan"))), "give one finite score each"),
        (Ranked(PROMPT, ("a", "b"), (1.0, 2.0, 3.0)), "for 2 completions; give one finite score each"),
        (Pair(PROMPT, "a", "b", margin=float("inf")), r"row 1: margin \[inf\] is not finite"),
        (
            Unpaired(PROMPT, "a", True),
            "row 1: an unpaired row holds no preference; convert it to pairs or ranked rows",
        ),
    ],
)
def test_rows_that_hold_no_usable_preference(row, message, encoder):
    with pytest.raises(InputError, match=message):
        encode_groups([row], encoder)


def test_the_key_of_a_group_follows_all_that_a_fit_reads(encoder):
    def key(row, weight=1.0):
        return encode_groups([row], encoder, weights=[weight])[0].key

    base = Ranked(PROMPT, ("a", "b", "c"), (3.0, 2.0, 1.0))
    assert key(base) == key(Ranked(PROMPT, ("a", "b", "c"), (13.0, 12.0, 11.0)))  # the same order and margins
    others = [
        key(Ranked(PROMPT, ("a", "b", "c"), (30.0, 20.0, 10.0))),
        key(Ranked(PROMPT, ("a", "b", "c"), (1.0, 2.0, 3.0))), key(base, 2.0), key(Pair(PROMPT, "a", "b")),
        key(Pair(PROMPT, "a", "b", margin=1.0)), key(Pair(PROMPT, "b", "a")),
        key(Pair((Message("user", "is it"),), "a", "b")),
    ]  # fmt: skip
    assert len({key(base), *others}) == 8


def words(n):
    return " ".join(["w"] * n)


@st.composite
def length_pairs(draw):
    sizes = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=60))
    return [Pair(PROMPT, words(c), words(r)) for c, r in sizes]


def test_length_weights_by_hand():
    # one bin (all differ by 2): three longer chosen, one shorter. 4 / (2 * 3) and 4 / (2 * 1); equal lengths keep 1
    pairs = [Pair(PROMPT, words(c), words(r)) for c, r in ((5, 3), (4, 2), (9, 7), (1, 3), (2, 2))]
    np.testing.assert_allclose(length_balance(pairs, bins=1), [2 / 3, 2 / 3, 2 / 3, 2, 1])
    assert weights_of(pairs) is None
    own = [replace(pair, meta={"sure": w}) for pair, w in zip(pairs, (0, 4, 1, 1, 3), strict=True)]
    np.testing.assert_allclose(weights_of(own, column="sure"), [0, 4, 1, 1, 3])
    # the first is left out: of the others two have the longer chosen, one the shorter, and one neither
    np.testing.assert_allclose(weights_of(own, column="sure", by_length=True), [0, 3, 3 / 4, 3 / 2, 3])


@settings(max_examples=100, deadline=None)
@given(length_pairs(), st.integers(1, 6))
def test_in_each_bin_the_longer_is_chosen_half_of_the_time(pairs, bins):
    weight = length_balance(pairs, bins=bins)
    gap = np.array([len(p.chosen.split()) - len(p.rejected.split()) for p in pairs])
    assert (weight[gap == 0] == 1).all()
    assert (weight > 0).all()
    size = np.abs(gap)
    if not (gap != 0).any():
        return
    edges = np.unique(np.quantile(size[gap != 0], np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, size, side="left")
    for b in set(where[gap != 0]):
        members = (where == b) & (gap != 0)
        longer, shorter = weight[members & (gap > 0)], weight[members & (gap < 0)]
        assert weight[members].mean() == pytest.approx(1)
        if longer.size and shorter.size:
            assert longer.sum() == pytest.approx(shorter.sum())
        else:
            assert (weight[members] == 1).all()


def test_scores_that_contradict_the_choice_do_not_turn_a_list_round(encoder):
    for scores, wanted in (((2.0, 3.0), [1.0, 0.0]), ((4.0, 3.0), [4.0, 3.0]), ((3.0, 3.0), [1.0, 0.0])):
        row = Pair(PROMPT, "good", "bad", chosen_score=scores[0], rejected_score=scores[1])
        (group,) = encode_groups([row], encoder, labels="order")
        assert group.values.tolist() == wanted
        # the raters' numbers themselves are what ratings are fitted to, equal or not
        (rated,) = encode_groups([row], encoder, labels="values")
        assert rated.values.tolist() == list(scores)


@pytest.mark.parametrize("loss", [borda, plackett_luce, rank_list])
def test_a_pair_with_equal_scores_keeps_its_preference(loss, encoder):
    """Of equal outputs a pair loses log 2 by each list objective, and its gradient is 1/2 towards the chosen one."""
    (group,) = encode_groups(
        [Pair(PROMPT, "good", "bad", chosen_score=3.0, rejected_score=3.0)], encoder, labels="order"
    )
    outputs = torch.zeros(2, 1, requires_grad=True)
    options = {plackett_luce: {"top": 0}, rank_list: {"reach": 2, "skip_coef": 1.0, "tail_coef": 0.0, "min_gap": 0.0}}
    row = {"group": torch.zeros(2, dtype=torch.long), "values": torch.from_numpy(group.values)}
    found = loss(outputs, row, **options.get(loss, {}))
    found.backward()
    assert found.item() == pytest.approx(np.log(2))
    assert outputs.grad[:, 0].tolist() == pytest.approx([-0.5, 0.5])


def test_ties_are_equal_scores_whatever_the_margin():
    for said, tied in (
        ({"chosen_score": 3.0, "rejected_score": 1.0, "margin": 0.0}, 0.0),
        ({"chosen_score": 3.0, "rejected_score": 3.0, "margin": 2.0}, 1.0),
        ({"chosen_score": 3.0, "rejected_score": 3.0}, 1.0),
        ({"margin": 0.0}, 0.0),
        ({}, 0.0),
    ):
        assert pair_columns(("tied",), Pair(PROMPT, "a", "b", **said), [(0, 1)], index=0)["tied"].tolist() == [tied]
    row = Ranked(PROMPT, ("a", "b", "c"), (2.0, 2.0, 1.0))
    assert pair_columns(("tied",), row, [(0, 1), (0, 2)], index=0)["tied"].tolist() == [1.0, 0.0]


def test_rated_rows_with_other_tools_have_another_prompt(encoder):
    class Asked:
        """Keeps what is rendered with which tools and template arguments, and renders it."""

        def __init__(self):
            self.seen = []

        def encode_group(self, prompt, completions, *, tools=None, kwargs=None):
            self.seen.append((list(completions), tools, kwargs))
            return encoder.encode_group(prompt, completions, tools=tools, kwargs=kwargs)

    one, other = [{"name": "a"}], [{"name": "b"}]
    thinking = {"chat_template_kwargs": {"thinking": True}}
    metas = [{"tools": one}, {"tools": [{"name": "a"}]}, {"tools": other}, {}, {"note": "x"}, thinking]
    rows = [Rated(PROMPT, f"good {i}", float(i), meta=meta) for i, meta in enumerate(metas)]
    asked = Asked()
    groups = encode_groups(rows, asked, labels="values")
    assert asked.seen == [
        (["good 0", "good 1"], one, None), (["good 2"], other, None), (["good 3", "good 4"], None, None),
        (["good 5"], None, {"thinking": True}),
    ]  # fmt: skip
    assert [g.values.tolist() for g in groups] == [[0, 1], [2], [3, 4], [5]]
    samples = [Sample(PROMPT, "good", meta={"tools": t}) for t in (one, other, one, other)]
    assert [[s.meta["tools"] for s in found] for found in shifted_lists(samples)] == [[one, one], [other, other]]
