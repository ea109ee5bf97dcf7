"""What an advantage estimator is given and what it gives back: one contract for all of them, and for the loop.

Everything that belongs to tokens is flat: the counted tokens of all n completions, one completion after another, t of
them in all. A token's place says its completion by `owner`, so nothing is padded and no mask can be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.policy.advantages.compared import Compared
from plaudit.shaping.groups.codes import Floats, Groups, Labels

Extent = Literal["group", "batch"]
"""What an estimator compares: whole groups, or everything that one update learns from."""
SAMPLE_COLUMNS = ("correct",)
TOKEN_COLUMNS = ("tokens", "token_rewards", "values", "logp", "ref_logp")


@final
@dataclass(frozen=True, eq=False)
class AdvantageInputs:
    """A batch of completions and what is known of them: all that one update learns from, never a part of it.

    Attributes:
        reward: float64 (n,), NaN where there is none: a time-out, an abstention, an instrument's fault.
        groups: labels (n,) or `Groups`: which completions answer the same prompt.
        lengths: int64 (n,), counted tokens of each completion.
        correct: (n,) 1 right, 0 wrong, NaN not known.
        tasks: (n,) names of the tasks.
        tokens: int64 (t,), ids of the counted tokens.
        token_rewards: (t,) of each token by itself, the outcome apart: a process reward, a penalty.
        values: (t,) V of the state in which each token is chosen, in units of the reward.
        logp: (t,) of each token under the policy that is about to be updated, nats.
        ref_logp: (t,) under the reference.
        compared: what a comparison said within groups.
        columns: name to (n,) for everything else: `columns["allowed"]`, `columns["hardness"]`.

    Raises:
        ShapeError: if a part has another number of entries.
        InputError: if a reward is infinite, or a length is negative.
    """

    reward: Floats
    groups: Labels | Groups
    lengths: Int[np.ndarray, " n"]
    correct: Floats | None = None
    tasks: tuple[str, ...] | None = None
    tokens: Int[np.ndarray, " t"] | None = None
    token_rewards: Floats | None = None
    values: Floats | None = None
    logp: Floats | None = None
    ref_logp: Floats | None = None
    compared: Compared | None = None
    columns: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        reward, lengths = np.asarray(self.reward, dtype=np.float64), np.asarray(self.lengths, dtype=np.int64)
        groups = Groups.of(self.groups)
        if reward.ndim != 1 or lengths.shape != reward.shape or len(groups) != reward.size:
            raise ShapeError(
                f"advantages: rewards {reward.shape}, {len(groups)} group labels and lengths {lengths.shape}; give one "
                "of each a completion, (n,)"
            )
        if np.isinf(reward).any():
            i = int(np.flatnonzero(np.isinf(reward))[0])
            raise InputError(f"advantages: reward {i} is {reward[i]}; give finite rewards, and NaN where there is none")
        if (lengths < 0).any():
            raise InputError(f"advantages: a length is {lengths.min()}; give numbers of tokens, at least 0")
        for name, made in (("reward", reward), ("lengths", lengths), ("groups", groups)):
            object.__setattr__(self, name, made)
        for name in (*SAMPLE_COLUMNS, *TOKEN_COLUMNS):
            self._set(name, int(lengths.sum()) if name in TOKEN_COLUMNS else reward.size)
        if self.tasks is not None:
            object.__setattr__(self, "tasks", tuple(str(task) for task in self.tasks))
            if len(self.tasks) != reward.size:
                raise ShapeError(f"advantages: {len(self.tasks)} tasks for {reward.size} completions; give one each")
        columns = {name: np.asarray(value, dtype=np.float64) for name, value in self.columns.items()}
        for name, value in columns.items():
            if value.shape != reward.shape:
                raise ShapeError(f"advantages: column {name!r} has shape {value.shape}; give ({reward.size},)")
        object.__setattr__(self, "columns", columns)

    def _set(self, name: str, count: int) -> None:
        given = getattr(self, name)
        if given is None:
            return
        made = np.asarray(given, dtype=np.int64 if name == "tokens" else np.float64)
        if made.shape != (count,):
            what = "a counted token, (t,)" if name in TOKEN_COLUMNS else "a completion, (n,)"
            raise ShapeError(f"advantages: {name} has shape {made.shape}; give {count} values, one {what}")
        object.__setattr__(self, name, made)

    def __len__(self) -> int:
        return int(self.reward.size)

    @property
    def grouped(self) -> Groups:
        """The groups, as whole numbers."""
        return Groups.of(self.groups)

    @property
    def included(self) -> Bool[np.ndarray, " n"]:
        """True where there is a reward: what the denominators of a loss count."""
        return ~np.isnan(self.reward)

    @property
    def comparable(self) -> Bool[np.ndarray, " n"]:
        """True where a completion has a reward and so has at least one of its siblings."""
        groups = self.grouped
        n = np.bincount(groups.code[self.included], minlength=groups.count)
        return np.asarray(self.included & (n >= 2)[groups.code])

    @property
    def owner(self) -> Int[np.ndarray, " t"]:
        """The completion of each token, 0 to n - 1, never falling."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def split(self, flat: NDArray[Any]) -> list[NDArray[Any]]:
        """Flat values (t,) as one array a completion."""
        return np.split(flat, np.cumsum(self.lengths)[:-1]) if len(self) else []

    def need(self, name: str, who: str) -> Any:
        """A part that an estimator cannot do without; other names are looked up among `columns`.

        Raises:
            InputError: if it is missing.
        """
        found = getattr(self, name, None) if name in self.__dataclass_fields__ else self.columns.get(name)
        if found is None:
            raise InputError(f"{who}: needs `{name}`, which this batch does not have; give it to AdvantageInputs")
        return found


@final
@dataclass(frozen=True, eq=False)
class Advantages:
    """What each completion, or each of its tokens, is worth beyond what was expected.

    Attributes:
        sequence: (n,) the same for all tokens of a completion; 0 where it has none. Given by all estimators that know
            no difference between tokens, else None.
        token: (t,) flat, else None. Exactly one of the two is there.
        included: bool (n,), what takes part in the loss and counts in its denominators.
        weight: (n,) how often each completion counts in the loss, the `count` of `token_weights`: only ratios matter;
            None for once each.
        returns: (t,) what a value function should have said; None without one.
        metrics: numbers to watch.

    Raises:
        ShapeError: if both or neither of `sequence` and `token` are given, or parts differ in number.
        InputError: if an advantage is not finite.
    """

    sequence: Floats | None
    included: Bool[np.ndarray, " n"]
    token: Floats | None = None
    weight: Floats | None = None
    returns: Floats | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.sequence is None) == (self.token is None):
            raise ShapeError("advantages: give either `sequence` or `token`, and not both")
        given = self.sequence if self.token is None else self.token
        if not np.isfinite(given).all():  # type: ignore[arg-type]
            at = int(np.flatnonzero(~np.isfinite(given))[0])  # type: ignore[arg-type]
            raise InputError(f"advantages: number {at} is {given[at]}; they must be finite")  # type: ignore[index]
        for name in ("sequence", "weight"):
            part = getattr(self, name)
            if part is not None and np.shape(part) != np.shape(self.included):
                raise ShapeError(f"advantages: {name} has shape {np.shape(part)} for {np.shape(self.included)} marks")

    @classmethod
    def of(
        cls, inputs: AdvantageInputs, *, sequence: Floats | None = None, token: Floats | None = None,
        included: Bool[np.ndarray, " n"] | None = None, weight: Floats | None = None, returns: Floats | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> Self:  # fmt: skip
        """Advantages of a batch, 0 for what is not included, with what is always watched among the metrics.

        Args:
            inputs: of the batch.
            sequence: (n,), or
            token: (t,).
            included: (n,); what has a reward, by default.
            weight: see the attribute.
            returns: see the attribute.
            metrics: further ones.
        """
        there = inputs.included if included is None else np.asarray(included, dtype=bool)
        if sequence is not None:
            sequence = np.where(there, sequence, 0.0)
        if token is not None:
            token = np.where(there[inputs.owner], token, 0.0)
        told = watched(inputs, there, sequence=sequence, token=token)
        return cls(sequence, there, token, weight, returns, {**told, **(metrics or {})})

    def flat(self, lengths: ArrayLike) -> Floats:
        """An advantage a token, (t,).

        Args:
            lengths: (n,) as in the inputs.
        """
        if self.token is not None:
            return self.token
        return np.repeat(np.asarray(self.sequence), np.asarray(lengths, dtype=np.int64))


@runtime_checkable
class AdvantageEstimator(Protocol):
    """From a batch to advantages; pure, given its state.

    The loop calls it with all that an update learns from, then goes on with `updated` of the same inputs. One whose
    paper updates before use does so within the call.

    Attributes:
        extent: what must be whole in a call.
        needs: names of the parts of `AdvantageInputs`, or of its columns, that it reads besides the reward, groups and
            lengths: what a loop has to compute for it.
        takes: names of further ones that count where they are given. Who knows `token_rewards` (it needs or takes them)
            must not find their sums in the reward as well.

    One may also say `reward_counts`: False where its advantages do not change with the reward, so that nothing can be
    taken from there; without it they do. And `siblings`: True where a completion that is alone in its group never has
    an advantage; without it one may.
    """

    @property
    def extent(self) -> Extent: ...  # noqa: D102
    @property
    def needs(self) -> frozenset[str]: ...  # noqa: D102
    @property
    def takes(self) -> frozenset[str]: ...  # noqa: D102

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """The advantages of a batch."""
        ...

    def updated(self, inputs: AdvantageInputs) -> Self:
        """The estimator after the batch was seen; itself where it has no state."""
        ...

    def state(self) -> dict[str, Any]:
        """What a run keeps, in plain numbers; empty where there is nothing to keep."""
        ...

    def restored(self, state: Mapping[str, Any]) -> Self:
        """The estimator in a state that `state` gave."""
        ...


class Stateless:
    """The part of an estimator that is the same for all that keep nothing between batches."""

    takes: ClassVar[frozenset[str]] = frozenset()

    def updated(self, inputs: AdvantageInputs) -> Self:  # noqa: ARG002
        """Itself."""
        return self

    def state(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """Itself.

        Raises:
            InputError: if the state is another estimator's.
        """
        if state:
            raise InputError(
                f"{type(self).__name__}: has no state, and was given {sorted(state)}; it is another estimator's"
            )
        return self


def watched(
    inputs: AdvantageInputs, included: Bool[np.ndarray, " n"], *, sequence: Floats | None = None,
    token: Floats | None = None,
) -> dict[str, float]:  # fmt: skip
    """Numbers that every estimator reports: rewards, and how many groups have nothing to say.

    Args:
        inputs: of the batch.
        included: what takes part.
        sequence: (n,) advantages, or
        token: (t,).

    Returns:
        `reward`, the mean of those that are there; `included`, the share of completions; `silent_groups`, the share of
        groups that take part all of whose advantages are 0.
    """
    groups = inputs.grouped
    code, loud = groups.code, sequence
    if token is not None:
        code, loud = code[inputs.owner], token
    told = np.bincount(code, weights=np.abs(loud) > 0, minlength=groups.count) > 0  # type: ignore[arg-type]
    filled = np.bincount(groups.code[included], minlength=groups.count) > 0
    reward = inputs.reward[inputs.included]
    return {
        "reward": float(reward.mean()) if reward.size else float("nan"),
        "included": float(included.mean()) if included.size else float("nan"),
        "silent_groups": float(1 - told[filled].mean()) if filled.any() else float("nan"),
    }
