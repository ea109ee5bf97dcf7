"""What must not change rewards of steps and tokens, and slow references of them, for every function of the room."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.shaping.steps import (
    Stream,
    best_of_k_value,
    clipped_steps,
    contrastive_token_rewards,
    delta_steps,
    discounted_returns,
    effective_rewards,
    leave_one_out_steps,
    placed_at_ends,
    potential_shaping,
    process_leave_one_out,
    progress_rewards,
    repetition_penalty,
    return_errors,
    stream_advantages,
    verifiable_step_rewards,
)

BASELINES = ["none", "mean", "leave-one-out", "standardised", "process-leave-one-out"]
JUNK = [math.nan, 1e9, -7.0]
quick = settings(max_examples=60, deadline=None)


@st.composite
def ragged(draw, least=0):
    """Values (n, t) in eighths, which add up without rounding, their mask (steps first), and a group a row."""
    n, t = draw(st.integers(1, 6)), draw(st.integers(max(least, 1), 5))
    values = draw(st.lists(st.lists(st.integers(-24, 24), min_size=t, max_size=t), min_size=n, max_size=n))
    lengths = np.array(draw(st.lists(st.integers(least, t), min_size=n, max_size=n)))
    groups = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    return np.array(values) / 8, np.arange(t) < lengths[:, None], groups


BY_ROW = {
    "clipped_steps": lambda v, m, g: clipped_steps(v, m, eta=0.7),
    "delta_steps": lambda v, m, g: delta_steps(v, m),
    "potential_shaping": lambda v, m, g: potential_shaping(v, m, discount=0.9),
    "potential_shaping, open end": lambda v, m, g: potential_shaping(v, m, keep_end=True),
    "return_errors": lambda v, m, g: return_errors(v, m, np.arange(len(v)) / 4),
    "progress_rewards": lambda v, m, g: progress_rewards(v, m, np.asarray(v) > 0, progress=2.0),
}
BY_GROUP = {
    "leave_one_out_steps": lambda v, m, g: leave_one_out_steps(np.where(m, v, 0.0).sum(axis=1), g, m),
    "process_leave_one_out": process_leave_one_out,
    **{
        f"stream, {baseline}{', whitened' * whiten}": (
            lambda v, m, g, b=baseline, w=whiten: stream_advantages(
                [Stream(v, 0.9, 2.0, b), Stream(-(np.asarray(v) ** 2), baseline=b)], m, g, whiten=w
            )
        )
        for baseline in BASELINES
        for whiten in (False, True)
    },
}
MASKED = BY_ROW | BY_GROUP


@quick
@given(ragged(), st.sampled_from(sorted(MASKED)), st.sampled_from(JUNK))
def test_values_outside_the_mask_never_matter(drawn, name, junk):
    values, mask, groups = drawn
    found = MASKED[name](values, mask, groups)
    again = MASKED[name](np.where(mask, values, junk), mask, groups)
    assert np.array_equal(again, found)
    if found.ndim == 2:
        assert not found[~mask].any()
    wider = np.pad(values, ((0, 0), (0, 2)), constant_values=junk)  # a longer rectangle says nothing new
    longer = MASKED[name](wider, np.pad(mask, ((0, 0), (0, 2))), groups)
    assert np.allclose(longer if found.ndim == 1 else longer[:, : mask.shape[1]], found, atol=1e-12)


@quick
@given(ragged(), st.sampled_from(sorted(BY_ROW)))
def test_each_row_stands_alone(drawn, name):
    values, mask, groups = drawn
    if name == "return_errors":
        found = return_errors(values, mask, np.zeros(len(values)))
        alone = [return_errors(values[i : i + 1], mask[i : i + 1], [0.0])[0] for i in range(len(values))]
    else:
        found = BY_ROW[name](values, mask, groups)
        alone = [BY_ROW[name](values[i : i + 1], mask[i : i + 1], groups[i : i + 1])[0] for i in range(len(values))]
    assert np.array_equal(found, np.array(alone))


@quick
@given(ragged(), st.sampled_from(sorted(BY_GROUP)), st.randoms(use_true_random=False))
def test_completions_move_with_their_advantages_and_labels_are_names(drawn, name, random):
    values, mask, groups = drawn
    found = BY_GROUP[name](values, mask, groups)
    order = list(range(len(values)))
    random.shuffle(order)
    assert np.allclose(BY_GROUP[name](values[order], mask[order], groups[order]), found[order], atol=1e-9)
    named = [f"prompt {7 - g}" for g in groups.tolist()]
    assert np.allclose(BY_GROUP[name](values, mask, named), found, atol=1e-9)


@quick
@given(ragged(least=1), st.sampled_from(sorted(set(BY_GROUP) - {"leave_one_out_steps"})))
def test_a_completion_without_a_reward_changes_nothing_for_the_others(drawn, name):
    values, mask, groups = drawn
    found = BY_GROUP[name](values, mask, groups)
    lost = np.full((1, values.shape[1]), 0.5)
    lost[0, 0] = np.nan
    more = BY_GROUP[name](np.vstack([values, lost]), np.vstack([mask, mask[:1]]), np.append(groups, groups[0]))
    assert np.allclose(more[:-1], found, atol=1e-12)
    assert not more[-1].any()


@quick
@given(ragged(), st.integers(-40, 40))
def test_outcomes_without_their_siblings(drawn, level):
    values, mask, groups = drawn
    outcome = values[:, 0]
    found = leave_one_out_steps(outcome, groups, mask)
    for i, own in enumerate(outcome):
        others = [outcome[j] for j in range(len(outcome)) if j != i and groups[j] == groups[i]]
        assert np.allclose(found[i], np.where(mask[i], own - np.mean(others) if others else 0.0, 0.0), atol=1e-12)
    moved = leave_one_out_steps(outcome + level * (groups == 0), groups, mask)  # the level of a prompt
    assert np.allclose(moved, found, atol=1e-9)
    more = leave_one_out_steps(np.append(outcome, np.nan), np.append(groups, groups[0]), np.vstack([mask, mask[:1]]))
    assert np.array_equal(more, np.vstack([found, np.zeros_like(found[:1])]))


@quick
@given(ragged())
def test_process_leave_one_out_is_its_formula(drawn):
    values, mask, groups = drawn
    found = process_leave_one_out(values, mask, groups)
    for i in range(len(values)):
        mates = [j for j in range(len(values)) if groups[j] == groups[i] and mask[j].any()]
        expected = np.zeros(values.shape[1])
        if len(mates) >= 2 and mask[i].any():
            means = sum(values[j][mask[j]].mean() for j in mates)
            expected = (len(mates) * values[i] - means) / (len(mates) - 1) * mask[i]
        assert np.allclose(found[i], expected, atol=1e-12)


@quick
@given(ragged(), st.integers(-40, 40))
def test_what_all_tokens_of_a_group_share_is_no_process_advantage(drawn, level):
    values, mask, groups = drawn
    found = process_leave_one_out(values, mask, groups)
    assert np.allclose(process_leave_one_out(values + level * (groups == 1)[:, None], mask, groups), found, atol=1e-9)
    assert np.allclose(process_leave_one_out(4.0 * values, mask, groups), 4.0 * found, atol=1e-9)


@quick
@given(ragged(), st.sampled_from(["none", *BASELINES[1:3]]), st.floats(0, 1), st.integers(-3, 3))
def test_streams_add_up_with_their_weights(drawn, baseline, discount, weight):
    values, mask, groups = drawn
    first, second = Stream(values, discount, 1.0, baseline), Stream(values[:, ::-1], 1.0, weight, "none")
    alone = [stream_advantages([s], mask, groups) for s in (first, second)]
    both = stream_advantages([first, second], mask, groups)
    assert np.allclose(both, alone[0] + alone[1], atol=1e-9)
    assert np.allclose(stream_advantages([second, first], mask, groups), both, atol=1e-12)
    unit = stream_advantages([Stream(values[:, ::-1], baseline="none")], mask, groups)
    assert np.allclose(alone[1], weight * unit, atol=1e-12)


@quick
@given(ragged(), st.floats(0.5, 20), st.sampled_from(["mean", "leave-one-out"]))
def test_whitened_advantages_know_no_scale_and_have_mean_nothing(drawn, scale, baseline):
    values, mask, groups = drawn
    found = stream_advantages([Stream(values, baseline=baseline)], mask, groups, whiten=True)
    told = found[mask]
    if told.size and told.std() > 0.5:  # not all advantages alike
        assert told.mean() == pytest.approx(0, abs=1e-7)
        again = stream_advantages([Stream(scale * values, baseline=baseline)], mask, groups, whiten=True)
        assert np.allclose(again, found, atol=1e-5)


@quick
@given(ragged(), st.floats(0, 1))
def test_returns_are_discounted_sums(drawn, discount):
    values = drawn[0]
    found = discounted_returns(values, discount)
    for i, row in enumerate(values.tolist()):
        for t in range(len(row)):
            expected = math.fsum(discount**k * r for k, r in enumerate(row[t:]))
            assert found[i, t] == pytest.approx(expected, abs=1e-9)
    assert np.array_equal(discounted_returns(values, 0.0), values)
    assert np.allclose(discounted_returns(3 * values, discount), 3 * found, atol=1e-9)
    assert np.array_equal(discounted_returns(values[:1], discount), found[:1])


@quick
@given(ragged(), st.integers(-16, 16))
def test_differences_of_steps_return_the_step_and_a_level_moves_the_whole_only(drawn, level):
    values, mask, _ = drawn
    found, n = delta_steps(values, mask), mask.sum(axis=1)
    returns = found[:, ::-1].cumsum(axis=1)[:, ::-1]
    for i in range(len(values)):
        assert returns[i, : max(n[i] - 1, 0)].tolist() == values[i, : max(n[i] - 1, 0)].tolist()
        assert not found[i, max(n[i] - 1, 0) :].any()  # the last step's reward is the outcome's
    moved = delta_steps(values + level, mask).sum(axis=1)
    assert moved.tolist() == (found.sum(axis=1) + level * (n > 1)).tolist()


@quick
@given(ragged(), st.integers(-24, 24), st.integers(-24, 24))
def test_a_clipped_step_only_costs_and_a_shared_level_does_not_count(drawn, eta, level):
    values, mask, _ = drawn
    found = clipped_steps(values, mask, eta=eta / 8)
    assert (found <= 0).all()
    assert found.tolist() == clipped_steps(values + level / 8, mask, eta=(eta + level) / 8).tolist()
    assert (clipped_steps(values, mask, eta=eta / 8 + 1) <= found).all()  # a higher bar costs more


@quick
@given(ragged(), ragged(), st.floats(0, 1), st.booleans())
def test_shaping_is_linear_in_its_potential(first, second, discount, keep_end):
    one, mask = first[0], first[1]
    two = np.resize(second[0], one.shape)
    shaped = [potential_shaping(phi, mask, discount=discount, keep_end=keep_end) for phi in (one, two, one - 2 * two)]
    assert np.allclose(shaped[2], shaped[0] - 2 * shaped[1], atol=1e-12)


@quick
@given(ragged(), st.integers(-8, 8))
def test_contributions_that_are_right_leave_no_error(drawn, off):
    values, mask, _ = drawn
    outcome = np.where(mask, values, 0.0).sum(axis=1)
    assert return_errors(values, mask, outcome).tolist() == [0.0] * len(values)
    assert return_errors(values, mask, outcome + off).tolist() == [float(off**2)] * len(values)
    lost = np.where(np.arange(len(values)) == 0, np.nan, outcome)
    assert np.isnan(return_errors(values, mask, lost)).tolist() == [True] + [False] * (len(values) - 1)


@quick
@given(ragged(), st.floats(0, 3), st.floats(0, 3))
def test_progress_is_a_weighted_sum_of_two(drawn, progress, grounding):
    values, mask, _ = drawn
    grounded = values > 0.5
    found = progress_rewards(values, mask, grounded, progress=progress, grounding=grounding)
    parts = [progress_rewards(values, mask, grounded, progress=a, grounding=b) for a, b in ((1.0, 0.0), (0.0, 1.0))]
    assert np.allclose(found, progress * parts[0] + grounding * parts[1], atol=1e-12)
    assert parts[0].tolist() == np.where(mask, values, 0.0).tolist()
    assert parts[1].tolist() == (mask & grounded).astype(float).tolist()


shares = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@quick
@given(shares, st.integers(1, 6), st.integers(1, 6))
def test_more_attempts_never_hurt_and_attempts_of_attempts_multiply(q, k, more):
    found = best_of_k_value(q, k=k)
    assert ((found >= np.array(q) - 1e-12) & (found <= 1)).all()
    assert (best_of_k_value(q, k=k + more) >= found - 1e-12).all()
    assert best_of_k_value(q, k=1) == pytest.approx(q, abs=1e-12)
    assert np.allclose(best_of_k_value(found, k=more), best_of_k_value(q, k=k * more), atol=1e-12)
    order = np.argsort(q)
    assert (np.diff(found[order]) >= -1e-12).all()


@quick
@given(st.lists(st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=1, max_size=8), st.integers(-8, 8))
def test_progress_of_a_prover_telescopes_and_its_level_does_not_count(rows, level):
    q, v = (np.array([row[i] for row in rows]) / 8 for i in range(2))
    v = np.append(v, 0.25)
    found = effective_rewards(q, v, alpha=2.0)
    assert found.sum() - q.sum() == pytest.approx(2.0 * (v[-1] - v[0]), abs=1e-12)
    assert found.tolist() == effective_rewards(q, v + level, alpha=2.0).tolist()
    assert effective_rewards(q, v, alpha=0.0).tolist() == q.tolist()


levels = st.lists(st.integers(0, 8), min_size=2, max_size=9)


@quick
@given(levels, st.floats(0, 1), st.integers(0, 5))
def test_verifiable_steps_are_a_search_for_the_next_change(eighths, gamma, ahead):
    a = np.array(eighths) / 8
    found = verifiable_step_rewards(a, gamma=gamma, ahead=ahead)
    for j in range(len(a) - 1):
        later = [q for q in range(ahead + 1) if j + q + 1 < len(a) and a[j + q + 1] != a[j + q]]
        expected = gamma ** later[0] * (a[j + later[0] + 1] - a[j + later[0]]) if later else 0.0
        assert found[j] == pytest.approx(expected, abs=1e-12)
    assert np.allclose(verifiable_step_rewards(1 - a, gamma=gamma, ahead=ahead), -found, atol=1e-12)
    assert verifiable_step_rewards(a, ahead=0).sum() == pytest.approx(a[-1] - a[0], abs=1e-12)  # flats or none


logps = st.lists(st.tuples(st.integers(-80, 0), st.integers(-80, 0)), min_size=1, max_size=8)


@quick
@given(logps, st.integers(-40, 40))
def test_contrast_is_bounded_alike_on_both_sides_and_of_each_token(rows, level):
    better, worse = (np.array([row[i] for row in rows]) / 8 for i in range(2))
    found = contrastive_token_rewards(better, worse)
    assert (np.abs(found) <= 0.5).all()
    assert np.allclose(contrastive_token_rewards(worse, better), -found, atol=1e-12)
    assert np.allclose(contrastive_token_rewards(better + level / 8, worse + level / 8), found, atol=1e-12)
    assert (np.sign(found) == np.sign(better - worse)).all()
    assert found[0] == contrastive_token_rewards(better[:1], worse[:1])[0]
    # the log-odds of 1/2 + the reward are the difference
    assert np.allclose(np.log((0.5 + found) / (0.5 - found)), better - worse, atol=1e-9)


tokens = st.lists(st.integers(0, 3), max_size=20)


@quick
@given(tokens, st.integers(1, 4), st.permutations(range(4)))
def test_repetitions_are_those_of_a_search(ids, n, renamed):
    found = repetition_penalty(ids, n=n, penalty=-0.5)
    expected = [0.0] * len(ids)
    for start in range(len(ids) - n + 1):
        if any(ids[earlier : earlier + n] == ids[start : start + n] for earlier in range(start)):
            expected[start : start + n] = [-0.5] * n
    assert found.tolist() == expected
    assert repetition_penalty([renamed[i] for i in ids], n=n, penalty=-0.5).tolist() == expected  # ids are names
    once = repetition_penalty(ids, n=n, penalty=-0.5, only_start=True)
    assert (once >= found).all()
    free, apart = 0, [0.0] * len(ids)
    for start in range(len(ids) - n + 1):  # the first repetition that begins after the one before it has ended
        if start >= free and any(ids[earlier : earlier + n] == ids[start : start + n] for earlier in range(start)):
            apart[start : start + n], free = [-0.5] * n, start + n
    assert once.tolist() == apart
    assert not found[:1].any()  # nothing was before the first token
    before = repetition_penalty(ids[:-1], n=n, penalty=-0.5)  # one token more: only the last n can become repetitions
    assert found[: max(len(ids) - n, 0)].tolist() == before[: max(len(ids) - n, 0)].tolist()


@quick
@given(st.dictionaries(st.integers(0, 11), st.integers(-8, 8), max_size=6), st.none() | st.integers(-8, 8), st.data())
def test_what_is_placed_is_neither_lost_nor_moved(places, outcome, data):
    ends, steps = list(places), list(places.values())
    found = placed_at_ends(steps, ends, 12, outcome=outcome)
    expected = [float(places.get(i, 0)) for i in range(12)]
    if outcome is not None:
        expected[-1] = float(outcome)
    assert found.tolist() == expected
    order = data.draw(st.permutations(range(len(ends))))
    again = placed_at_ends([steps[i] for i in order], [ends[i] for i in order], 12, outcome=outcome)
    assert again.tolist() == expected
