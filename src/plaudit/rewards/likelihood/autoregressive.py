"""Autoregressive reward models: a reward that every next token has, so that it can guide decoding.

`r(x, y) = sum_t log pi_r(y_t | x, y_<t)`. Trained on preferences without a reference, `pi_r` is a reward that a
decoder adds token by token: `log pi_base + sum_i alpha_i log pi_r_i`.

Differs from the paper: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.outcomes import Scale
from plaudit.rewards.likelihood.ratio import RatioOptions, RatioReward


def guided_logits(
    base: Float[Tensor, "b v"], rewards: Float[Tensor, "m b v"], *, alphas: Sequence[float]
) -> Float[Tensor, "b v"]:
    """Next-token logits of a base policy tilted by m autoregressive rewards: `log p_base + sum_i alpha_i log p_i`.

    If `pi_r` is proportional to `(pi* / pi_base)^beta` at each step, then `alpha = 1 / beta` decodes from `pi*`.

    Args:
        base: logits of the base policy; a constant a row does not matter.
        rewards: logits of the m reward models over the same vocabulary.
        alphas: weight of each; 0 leaves the base as it is, and weights of one model add up.

    Returns:
        Log-probabilities before normalisation; a temperature divides them as it does a base policy's.

    Raises:
        InputError: if there is another number of weights than of models.

    Source: Xu et al. 2024, "GenARM: Reward Guided Generation with Autoregressive Reward Model for Test-time Alignment".
    """
    if len(alphas) != rewards.shape[0]:
        raise InputError(f"guided_logits: {len(alphas)} alphas for {rewards.shape[0]} reward models; give one each")
    found = base.log_softmax(-1)
    for alpha, logits in zip(alphas, rewards, strict=True):
        if alpha:  # a token that a reward excludes stays as it is where the reward does not count: 0 * -inf is NaN
            found = found + alpha * logits.log_softmax(-1)
    return found


def autoregressive(
    model: str, average: str = "sum", end: bool = True, floor: float = -10000.0, max_length: int = 2048
) -> RatioReward:
    """The reward that `likelihood/autoregressive` names: log-likelihood under a model, token by token.

    Args:
        model: folder or hub id of a causal LM that was trained as a reward.
        average: `sum`, or `token` for the mean a token.
        end: whether the tokens that close the turn count.
        floor: lowest reward; a text of 2,048 tokens reaches the default at 4.9 nats a token.
        max_length: longest sequence in tokens.
    """
    return RatioReward(
        LanguageModel.open(model, max_length=max_length), options=RatioOptions(1.0, average, end=end),
        scale=Scale(floor=floor), name="autoregressive",
    )  # fmt: skip
