"""What holds of every objective: rows add up, order means nothing, gradients are right, nothing overflows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.training.objectives.general import cross_encoder, general_preference, general_regression
from plaudit.training.objectives.lists import borda, borda_counts, plackett_luce, rank_list
from plaudit.training.objectives.pairs import (
    adaptive_margin,
    combined_strength,
    consistent_bradley_terry,
    contrastive_views,
    convex_bradley_terry,
    davidson,
    demonstration_gap,
    dynamic_bradley_terry,
    judged_bradley_terry,
    margin_regression,
    rao_kupper,
    scaled_bradley_terry,
    score_spread,
    soft_bradley_terry,
    soft_bradley_terry_aspects,
    thurstone_pairs,
)
from plaudit.training.objectives.people import mixture_bradley_terry
from plaudit.training.objectives.ratings import (
    belief_rating,
    community_triplets,
    distribution_rating,
    evidential_rating,
    gaussian_rating,
    huber_rating,
    ordinal_rating,
    quantile_rating,
    squared_rating,
    thurstone_fidelity,
    two_preferences,
    two_ratings,
)


@dataclass(frozen=True)
class Row:
    """Outputs of n sequences, what lies beside them, which of them belong together, and a label an item."""

    outputs: torch.Tensor
    sides: Mapping[str, torch.Tensor] = field(default_factory=dict)  # an entry a sequence
    places: Mapping[str, object] = field(default_factory=dict)  # indices into the sequences, a tensor or a list of them
    labels: Mapping[str, object] = field(default_factory=dict)  # an entry an item
    partners: Mapping[str, torch.Tensor] = field(default_factory=dict)  # indices into the items

    @property
    def items(self):
        return len(next(iter(self.places.values())))

    def __add__(self, other):
        n, m = len(self.outputs), self.items
        return Row(
            torch.cat([self.outputs, other.outputs]),
            {k: torch.cat([v, other.sides[k]]) for k, v in self.sides.items()},
            {k: _joined(v, _moved(other.places[k], lambda i: i + n)) for k, v in self.places.items()},
            {k: _joined(v, other.labels[k]) for k, v in self.labels.items()},
            {k: torch.cat([v, other.partners[k] + m]) for k, v in self.partners.items()},
        )

    def reordered(self, order):
        """The same sequences in other places."""
        inverse = torch.argsort(order)
        return replace(
            self,
            outputs=self.outputs[order],
            sides={k: v[order] for k, v in self.sides.items()},
            places={k: _moved(v, lambda i: inverse[i]) for k, v in self.places.items()},
        )

    def shuffled(self, order):
        """The same items in another order."""
        inverse = torch.argsort(order)
        return replace(
            self,
            places={k: _picked(v, order) for k, v in self.places.items()},
            labels={k: _picked(v, order) for k, v in self.labels.items()},
            partners={k: inverse[v[order]] for k, v in self.partners.items()},
        )

    def to(self, dtype):
        def cast(v):
            if isinstance(v, list):
                return [cast(x) for x in v]
            return v.to(dtype) if v.is_floating_point() else v

        return Row(
            cast(self.outputs),
            {k: cast(v) for k, v in self.sides.items()},
            self.places,
            {k: cast(v) for k, v in self.labels.items()},
            self.partners,
        )


def _joined(a, b):
    return [*a, *b] if isinstance(a, list) else torch.cat([a, b])


def _moved(v, move):
    return [move(x) for x in v] if isinstance(v, list) else move(v)


def _picked(v, order):
    return [v[i] for i in order.tolist()] if isinstance(v, list) else v[order]


def value(case, row, outputs=None):
    given = row.outputs if outputs is None else outputs
    return case.objective(given, **row.sides, **row.places, **row.labels, **row.partners, **case.options)


def normal(g, *shape):
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def uniform(g, *shape):
    return torch.rand(*shape, generator=g, dtype=torch.float64)


def whole(g, high, *shape):
    return torch.randint(high, shape, generator=g)


def pairs_of(g, n, m):
    return torch.stack([torch.randperm(n, generator=g)[:2] for _ in range(m)])


def paired(columns, k=0):
    """Rows of pairs; `columns(g, m)` gives the labels."""

    def make(g):
        n, m = 3 + int(whole(g, 4, 1)), 1 + int(whole(g, 5, 1))
        outputs = normal(g, n, k) if k else normal(g, n)
        return Row(outputs, places={"pairs": pairs_of(g, n, m)}, labels={**columns(g, m), "weight": uniform(g, m)})

    return make


def listed(columns):
    """Rows of lists; `columns(g, lengths)` gives the labels."""

    def make(g):
        n = 5 + int(whole(g, 4, 1))
        lengths = (2 + whole(g, 4, 1 + int(whole(g, 3, 1)))).tolist()
        lists = [torch.randperm(n, generator=g)[:k] for k in lengths]
        return Row(normal(g, n), places={"lists": lists}, labels=columns(g, lengths))

    return make


def rated(columns, k=0):
    """Rows of rated sequences, some of them rated twice."""

    def make(g):
        n, m = 2 + int(whole(g, 4, 1)), 1 + int(whole(g, 5, 1))
        outputs = normal(g, n, k) if k else normal(g, n)
        return Row(outputs, places={"items": whole(g, n, m)}, labels={**columns(g, m), "weight": uniform(g, m)})

    return make


def tied(g, lengths):
    marks = []
    for k in lengths:
        mark = whole(g, 2, k).bool()
        mark[0] = False
        marks.append(mark)
    return {"tied": marks, "weight": uniform(g, len(lengths))}


def grades(g, lengths):
    fall = [whole(g, 3, k).double().sort(descending=True).values for k in lengths]
    return {"grades": fall, "weight": uniform(g, len(lengths))}


def counted(g, lengths):
    return {"counts": [borda_counts(normal(g, k, 3)) for k in lengths], "weight": uniform(g, len(lengths))}


def views(g):
    n = 4 + int(whole(g, 3, 1))
    sets = torch.randperm(n, generator=g).split(2)
    return Row(normal(g, n, 3), sides={"views": normal(g, n, 3)}, places={"lists": list(sets)})


def mixed(g):
    row = paired(lambda g, m: {"share": uniform(g, m), "target": uniform(g, m)})(g)
    return replace(row, partners={"partner": whole(g, row.items, row.items)})


def distributions(g, m):
    return {"target": uniform(g, m, 4).log_softmax(1).exp()}


def without_weight(make):
    def made(g):
        row = make(g)
        return replace(row, labels={k: v for k, v in row.labels.items() if k != "weight"})

    return made


@dataclass(frozen=True)
class Case:
    objective: Callable
    make: Callable
    options: Mapping[str, object] = field(default_factory=dict)
    shift: bool = False  # whether a shift of all scores of a row changes nothing
    name: str = ""


def strengths(g, m):
    return {"strength": 3 * uniform(g, m)}


def ties(g, m):
    return {"tied": whole(g, 2, m).bool()}


def aspects(g, m):
    return {"target": uniform(g, m, 3), "known": whole(g, 2, m, 3).bool()}


def rating(g, m):
    return {"ratings": 2 * normal(g, m)}


CASES = [
    Case(scaled_bradley_terry, paired(strengths), shift=True),
    Case(margin_regression, paired(strengths), {"scale": 0.5}, shift=True),
    Case(combined_strength, paired(strengths), shift=True),
    Case(demonstration_gap, paired(lambda g, m: {})),
    Case(dynamic_bradley_terry, paired(lambda g, m: {"margin": 3 * uniform(g, m)}), shift=True),
    Case(adaptive_margin, paired(lambda g, m: {"strength": normal(g, m)}), {"label_smoothing": 0.1}, shift=True),
    Case(soft_bradley_terry, paired(lambda g, m: {"target": uniform(g, m)}), shift=True),
    Case(soft_bradley_terry_aspects, paired(aspects, 3), shift=True),
    Case(rao_kupper, paired(ties), shift=True),
    Case(davidson, paired(ties), {"log_tie": 0.3}, shift=True),
    Case(convex_bradley_terry, mixed, shift=True),
    Case(consistent_bradley_terry, paired(lambda g, m: {"consistency": uniform(g, m)}), {"beta": 0.5}, shift=True),
    Case(judged_bradley_terry, without_weight(paired(lambda g, m: {"judgements": normal(g, m, 3)})), shift=True),
    Case(thurstone_pairs, paired(lambda g, m: {}, 2)),
    Case(contrastive_views, views, {"temperature": 0.5}),
    Case(score_spread, listed(lambda g, lengths: {}), shift=True),
    Case(plackett_luce, listed(lambda g, lengths: {}), shift=True, name="plackett_luce plain"),
    Case(plackett_luce, listed(tied), {"top": 2}, shift=True, name="plackett_luce tied top"),
    Case(rank_list, listed(grades), {"min_gap": 1.0, "reach": 3, "tail_coef": 0.5}, shift=True),
    Case(borda, listed(counted), shift=True),
    Case(squared_rating, rated(rating)),
    Case(
        squared_rating,
        rated(lambda g, m: {"ratings": normal(g, m, 3), "known": whole(g, 2, m, 3).bool()}, 3),
        name="squared_rating aspects",
    ),
    Case(huber_rating, rated(rating)),
    Case(distribution_rating, rated(distributions, 4)),
    Case(thurstone_fidelity, paired(lambda g, m: {"mean": normal(g, m, 2), "std": uniform(g, m, 2)}, 4)),
    Case(quantile_rating, rated(rating, 3), {"levels": (0.2, 0.5, 0.9)}),
    Case(gaussian_rating, rated(rating, 2)),
    Case(evidential_rating, rated(rating, 4)),
    Case(belief_rating, rated(lambda g, m: {"levels": whole(g, 3, m)}, 3), {"others_coef": 0.5}),
    Case(two_ratings, rated(lambda g, m: {"levels": whole(g, 2, m, 2)}, 6)),
    Case(two_preferences, paired(lambda g, m: {"first": whole(g, 2, m).bool(), "second": whole(g, 2, m).bool()}, 3)),
    Case(community_triplets, paired(lambda g, m: {"anchors": normal(g, m, 3)}, 3)),
    Case(mixture_bradley_terry, paired(lambda g, m: {"logits": normal(g, m, 3)}, 3), shift=True),
    Case(
        ordinal_rating,
        rated(lambda g, m: {"levels": whole(g, 4, m)}),
        {"thresholds": torch.tensor([-1, 0.2, 1], dtype=torch.float64)},
    ),
    Case(general_preference, paired(lambda g, m: {"scales": uniform(g, m, 2)}, 4), {"normalise": True}),
    Case(general_regression, paired(lambda g, m: {}, 4), {"temperature": 0.5}),
    Case(cross_encoder, paired(lambda g, m: {}), {"order_coef": 0.3}),
]
SEEDS = st.integers(0, 2**31 - 1)
every = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name or c.objective.__name__)


def generator(seed):
    return torch.Generator().manual_seed(seed)


@every
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_rows_add_up(case, seed):
    g = generator(seed)
    a, b = case.make(g), case.make(g)
    torch.testing.assert_close(value(case, a + b), value(case, a) + value(case, b), rtol=1e-10, atol=1e-10)


@every
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_neither_places_nor_order_matter(case, seed):
    g = generator(seed)
    row = case.make(g)
    loss = value(case, row)
    moved = row.reordered(torch.randperm(len(row.outputs), generator=g))
    torch.testing.assert_close(value(case, moved), loss, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(value(case, row.shuffled(torch.randperm(row.items, generator=g))), loss)


@every
@settings(max_examples=3, deadline=None)
@given(seed=SEEDS)
def test_gradients_are_those_of_finite_differences(case, seed):
    row = case.make(generator(seed))
    assert torch.autograd.gradcheck(lambda x: value(case, row, x), row.outputs.requires_grad_())


@pytest.mark.parametrize("case", [c for c in CASES if c.shift], ids=lambda c: c.name or c.objective.__name__)
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, shift=st.floats(-30, 30))
def test_a_shift_within_a_prompt_changes_nothing(case, seed, shift):
    g = generator(seed)
    a, b = case.make(g), case.make(g)
    shifted = replace(a, outputs=a.outputs + shift) + b
    torch.testing.assert_close(value(case, shifted), value(case, a + b), rtol=1e-9, atol=1e-9)


@every
def test_single_precision_agrees_and_nothing_overflows(case):
    for seed in range(5):
        row = case.make(generator(seed))
        if "thresholds" in case.options:
            single = replace(case, options={"thresholds": case.options["thresholds"].float()})
        else:
            single = case
        close = value(single, row.to(torch.float32))
        assert close.dtype == torch.float32
        torch.testing.assert_close(close.double(), value(case, row), rtol=1e-4, atol=1e-4)
        far = (row.outputs * 1000).float().requires_grad_()
        loss = value(single, row.to(torch.float32), far)
        loss.backward()
        assert loss.isfinite()
        assert far.grad.isfinite().all()


@every
def test_no_items_are_worth_nothing(case):
    row = case.make(generator(0))
    places = {k: [] if isinstance(v, list) else v[:0] for k, v in row.places.items()}
    labels = {k: v[:0] for k, v in row.labels.items()}
    none = replace(row, places=places, labels=labels, partners={k: v[:0] for k, v in row.partners.items()})
    outputs = none.outputs.requires_grad_()
    loss = value(case, none, outputs)
    assert loss.shape == ()
    loss.backward()
    assert float(loss.detach()) == 0
    assert not outputs.grad.any()
