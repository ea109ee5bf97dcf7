"""Payments under which looking and saying what one saw is an annotator's best choice [226].

An annotator pays `cost` to look, sees a signal s, and reports it; later the state k shows (a gold label, an outcome, a
peer's report). The report is paid `scale * S(P(k | s), k) + base` with a proper scoring rule S:

    Brier       S(q, k) = 1 - |q - e_k|^2 / 2        log   S(q, k) = 1 + log q_k / log(1 / floor), q_k at least floor
    spherical   S(q, k) = q_k / |q|

all at most 1, and at least 0. A proper rule makes the true belief the best report; looking pays where

    scale >= cost / (E[S | effort] - E[S | no effort])

the no-effort value being that of the best report that is possible without looking. Where that gap is 0 no payment
induces effort, and `feasible` says so. For finite reports, `cheapest_payments` finds the cheapest table of payments at
all by a linear programme; it never pays more than the affine rule.

**When it is wrong.** Signals that the model of them misjudges are paid for wrongly; reports judged by a peer's reward
agreement, and annotators who agree to look at nothing may profit as well. Honest reports can still be biased ones.

Source: Cacciamani et al. 2023, "Online Information Acquisition: Hiring Multiple Agents" [226]; Savage 1971; Good 1952;
Roby 1965 for the spherical rule.

Differs from the paper: one annotator at a time with a given model of signals, and effort on or off; the paper
correlates recommendations of effort among agents, and learns the model online.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError, nearest

Floats = NDArray[np.float64]
Rule = Literal["brier", "log", "spherical"]
FLOOR = 1e-3
"""Least probability that the log rule tells apart from 0: without one its payments have no lower bound."""


def proper_scores(report: ArrayLike, *, rule: Rule = "brier", floor: float = FLOOR) -> Float[np.ndarray, "s k"]:
    """S(q, k) of each report and state, 0 to 1.

    Args:
        report: (s, k), distributions over states.
        rule: which.
        floor: of the log rule, in (0, 1).

    Raises:
        InputError: if the rule is not known, a report is no distribution, or the floor is out of range.
    """
    q = np.asarray(report, dtype=np.float64)
    if rule not in get_args(Rule):
        raise InputError(f"proper_scores: rule {rule!r} is not known; {nearest(rule, get_args(Rule))}")
    if q.ndim != 2 or (q < 0).any() or not np.allclose(q.sum(axis=1), 1, atol=1e-9):
        raise InputError("proper_scores: reports are (s, k) distributions: at least 0, each with sum 1")
    if rule == "brier":
        return np.asarray(1 - ((q[:, None, :] - np.eye(q.shape[1])[None]) ** 2).sum(axis=2) / 2)
    if rule == "spherical":
        return np.asarray(q / np.linalg.norm(q, axis=1, keepdims=True))
    if not 0 < floor < 1:
        raise InputError(f"proper_scores: floor is {floor}; give a probability above 0 and below 1")
    return np.asarray(1 + np.log(np.maximum(q, floor)) / math.log(1 / floor))


@dataclass(frozen=True, slots=True)
class Payment:
    """What each report earns in each state.

    Attributes:
        table: (s, k), in units of the cost: a report of signal s where the state is k.
        scale: of the score; NaN where the table is no affine score.
        base: paid besides; likewise.
        gap: gain of the score by looking, at scale 1; likewise.
        expected: mean payment of one who looks and is honest.
        feasible: whether looking and honesty is a best choice, within the bounds.
        why: where it is not, the reason.
    """

    table: Floats
    scale: float
    base: float
    gap: float
    expected: float
    feasible: bool
    why: str = ""


def affine_payment(
    joint: ArrayLike,
    idle: ArrayLike,
    cost: float,
    *,
    rule: Rule = "brier",
    low: float = 0.0,
    high: float = math.inf,
    slack: float = 0.0,
    floor: float = FLOOR,
) -> Payment:
    """The smallest affine payment of a proper score under which looking and honesty is a best choice.

    Args:
        joint: (k, s), P(state, signal) of one who looks.
        idle: (k, s'), P(state, signal) of one who does not; independent rows for a signal that says nothing.
        cost: of looking, at least 0.
        rule: the score.
        low: least payment; 0 is limited liability.
        high: largest payment.
        slack: by how much looking must pay at least, beyond the cost.
        floor: of the log rule.

    Returns:
        The payment. Infeasible where looking gains no score, or the payments would not fit between the bounds.

    Raises:
        ShapeError: if the two differ in their states.
        InputError: if one is no distribution, or a number is outside its range.

    Source: [226], section on single agents; the threshold is the definition's own.
    """
    p, p0 = _joint(joint, "joint"), _joint(idle, "idle")
    _check(p, p0, cost, low, high)
    table = proper_scores(_posteriors(p), rule=rule, floor=floor)
    value = float((p.T * table).sum())
    alone = _idle_value(table, p0)
    gap = value - alone
    if gap <= 1e-12:
        why = f"looking gains no score ({gap:.2g}): the signal says nothing that is not known without it"
        return Payment(np.full(table.shape, math.nan), math.nan, math.nan, gap, math.nan, False, why)
    scale = (cost + slack) / gap
    base = low - scale * float(table.min())
    paid = scale * table + base
    expected = float((p.T * paid).sum())
    fits = paid.max() <= high * (1 + 1e-12) + 1e-12
    why = "" if fits else f"a report would earn {paid.max():.4g}, above the largest payment {high:g}"
    return Payment(paid, scale, base, gap, expected, bool(fits), why)


def cheapest_payments(
    joint: ArrayLike, idle: ArrayLike, cost: float, *, low: float = 0.0, high: float = math.inf, slack: float = 0.0
) -> Payment:
    """The cheapest table of payments under which looking and honesty is a best choice, by a linear programme.

        min  sum_{k, s} P(k, s) t_sk
        s.t. sum_k P(k, s) (t_sk - t_s'k) >= 0                       for all s, s'    (no misreport)
             sum_{k, s} P(k, s) t_sk - cost >= sum_z v_z + slack,   v_z >= sum_k P0(k, z) t_sk  for all z, s  (looking)
             low <= t <= high

    Args:
        joint: (k, s), P(state, signal) of one who looks.
        idle: (k, s'), of one who does not.
        cost: of looking, at least 0.
        low: least payment.
        high: largest payment.
        slack: by how much looking must pay at least, beyond the cost.

    Returns:
        The payment; `scale`, `base` and `gap` are NaN. Infeasible where no table within the bounds does it.

    Raises:
        ShapeError, InputError: as `affine_payment`; also if the solver fails.

    Source: [226], the linear programme of the optimal mechanism, for one agent.
    """
    from scipy.optimize import linprog

    p, p0 = _joint(joint, "joint"), _joint(idle, "idle")
    _check(p, p0, cost, low, high)
    k, s = p.shape
    z, n = p0.shape[1], k * s
    rows: list[Floats] = []
    bound: list[float] = []
    for a in range(s):  # t is laid out by signal, then state; v follows
        for b in range(s):
            if a != b:
                row = np.zeros(n + z)
                row[a * k : (a + 1) * k], row[b * k : (b + 1) * k] = -p[:, a], p[:, a]
                rows, bound = [*rows, row], [*bound, 0.0]
    for idle_signal in range(z):
        for b in range(s):
            row = np.zeros(n + z)
            row[b * k : (b + 1) * k], row[n + idle_signal] = p0[:, idle_signal], -1.0
            rows, bound = [*rows, row], [*bound, 0.0]
    looking = np.concatenate([-p.T.reshape(-1), np.ones(z)])
    rows, bound = [*rows, looking], [*bound, -(cost + slack)]
    limits = [(low, None if math.isinf(high) else high)] * n + [(None, None)] * z
    found = linprog(np.concatenate([p.T.reshape(-1), np.zeros(z)]), A_ub=np.array(rows), b_ub=bound, bounds=limits)
    if found.status == 2:
        why = "no table of payments within the bounds makes looking and honesty a best choice"
        return Payment(np.full((s, k), math.nan), math.nan, math.nan, math.nan, math.nan, False, why)
    if found.status != 0:
        raise InputError(f"cheapest_payments: the solver ended with {found.message!r}; bound the payments (high=)")
    return Payment(found.x[:n].reshape(s, k), math.nan, math.nan, math.nan, float(found.fun), True)


@dataclass(frozen=True, slots=True)
class Response:
    """What is best for an annotator.

    Attributes:
        looks: whether to look; where both are equal, yes.
        report: for each signal (of looking, or of not) the report that pays most; the honest one where none pays more.
        honest: whether each signal is reported as it is; of one who looks.
        gain: payoff of looking, its cost off, minus that of not looking.
    """

    looks: bool
    report: tuple[int, ...]
    honest: bool
    gain: float


def best_response(table: ArrayLike, joint: ArrayLike, idle: ArrayLike, cost: float) -> Response:
    """The best choice under a table of payments, over looking and all ways to report.

    Args:
        table: (s, k) payments.
        joint: (k, s), P(state, signal) of one who looks.
        idle: (k, s'), of one who does not.
        cost: of looking.

    Raises:
        ShapeError: if the shapes do not belong together.
    """
    t, p, p0 = np.asarray(table, dtype=np.float64), _joint(joint, "joint"), _joint(idle, "idle")
    if t.shape != (p.shape[1], p.shape[0]) or p0.shape[0] != p.shape[0]:
        raise ShapeError(f"best_response: payments {t.shape} for joint {p.shape} and idle {p0.shape}")
    worth, without = t @ p, t @ p0  # (report, signal)
    gain = float(worth.max(axis=0).sum() - cost - without.max(axis=0).sum())
    looks = gain >= -1e-9 * max(1.0, abs(cost))
    honest = worth.max(axis=0) - np.diag(worth) <= 1e-9 * np.maximum(1.0, np.abs(worth).max(axis=0))
    best = np.where(honest, np.arange(len(t)), worth.argmax(axis=0)) if looks else without.argmax(axis=0)
    return Response(looks, tuple(int(i) for i in best), bool(honest.all()), gain)


def peer_joint(joint: ArrayLike, peer: ArrayLike) -> Float[np.ndarray, "r s"]:
    """P(peer's report, own signal) where no state ever shows: the peer's report takes its place.

    Both signals are independent given the state: `sum_k P(k) P(r | k) P(s | k)`.

    Args:
        joint: (k, s), P(state, own signal).
        peer: (k, r), P(state, peer's report).

    Raises:
        ShapeError: if the two differ in their states.
        InputError: if they disagree about how often each state occurs.
    """
    p, q = _joint(joint, "joint"), _joint(peer, "peer")
    if len(p) != len(q):
        raise ShapeError(f"peer_joint: {len(p)} and {len(q)} states; give the same ones")
    prior = p.sum(axis=1)
    if not np.allclose(prior, q.sum(axis=1), atol=1e-9):
        raise InputError(
            f"peer_joint: states have shares {prior.tolist()} and {q.sum(axis=1).tolist()}; give equal ones"
        )
    share = np.divide(1.0, prior, out=np.zeros_like(prior), where=prior > 0)
    return np.asarray((q * share[:, None]).T @ p)


def _joint(table: ArrayLike, name: str) -> Floats:
    p = np.asarray(table, dtype=np.float64)
    if p.ndim != 2 or (p < 0).any() or not math.isclose(float(p.sum()), 1.0, abs_tol=1e-9):
        raise InputError(f"payments: {name} is a table P(state, signal): at least 0, with sum 1")
    return p


def _check(p: Floats, p0: Floats, cost: float, low: float, high: float) -> None:
    if len(p) != len(p0):
        raise ShapeError(f"payments: joint has {len(p)} states and idle {len(p0)}; give the same ones")
    if not np.allclose(p.sum(axis=1), p0.sum(axis=1), atol=1e-9):
        raise InputError(
            "payments: joint and idle disagree about how often each state occurs; looking cannot change it"
        )
    if not 0 <= cost < math.inf or not math.isfinite(low) or not low < high:
        raise InputError(f"payments: cost {cost}, low {low}, high {high}; give cost >= 0, a finite low, and low < high")


def _posteriors(p: Floats) -> Floats:
    """P(state | signal), (s, k); of a signal that never comes, the prior."""
    size = p.sum(axis=0)
    return np.asarray(np.where(size > 0, p / np.where(size > 0, size, 1.0), p.sum(axis=1)[:, None]).T)


def _idle_value(table: Floats, p0: Floats) -> float:
    """The best that reports of this table can do without looking."""
    return float((table @ p0).max(axis=0).sum())
