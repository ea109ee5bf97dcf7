"""Weights beyond the fitted ones: the last step of the recipe of HelpSteer2-Preference [29]."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number


def extrapolated(
    start: Mapping[str, Tensor], fitted: Mapping[str, Tensor], *, factor: float = 1.5
) -> dict[str, Tensor]:
    """`start + factor * (fitted - start)` for each tensor (ExPO).

    Args:
        start: the weights that the fit began from.
        fitted: the weights that it ended with.
        factor: 1 gives `fitted`, 0 gives `start`; the paper tunes it within 1.1 and 2 on validation pairs.

    Returns:
        New tensors by name. Tensors that hold no floating-point numbers (counters) are those of `fitted`.

    Raises:
        ShapeError: if names or shapes differ.
        InputError: if the factor is negative.

    Source: Zheng et al. 2024, "Weak-to-Strong Extrapolation"; Wang et al. 2024 [29].
    """
    check_number("extrapolated", "factor", factor, low=0)
    if start.keys() != fitted.keys():
        raise ShapeError(f"extrapolated: only one of the two models has {sorted(start.keys() ^ fitted.keys())[:3]}")
    result = {}
    for name, end in fitted.items():
        begin = start[name]
        if begin.shape != end.shape:
            raise ShapeError(f"extrapolated: {name} has shapes {tuple(begin.shape)} and {tuple(end.shape)}")
        result[name] = begin + factor * (end - begin) if end.is_floating_point() else end.clone()
    return result
