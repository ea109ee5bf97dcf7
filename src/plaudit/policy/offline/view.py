"""What losses of direct alignment can read of one row of a step, by name.

A number a pair, (m,): `chosen_logp`, `rejected_logp` (summed log-probabilities of the counted tokens under the policy),
`chosen_reference`, `rejected_reference` (under the reference), `chosen_ratio`, `rejected_ratio` (their differences),
`chosen_tokens`, `rejected_tokens` (how many count), `chosen_score`, `rejected_score`, and the columns of the rows.
A number a labelled completion: `ratio`, `label`, `logp`, `tokens`; a completion with a score: `scored_ratio`,
`scored_score`; a counted token: `token_logps`, `token_ratio`, `token_old` (the log-ratio that it had at the start),
`token_divergence` (from the reference over the whole vocabulary) and `token_said`, 1 for those of what is wanted; a
pair that the policy judges: `judged_forward`, `judged_backward`. What a step knows: `baseline`, `partner`, ... Indices
as they are: `owner`, `pairs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor


class View:
    """One row: what the policy says of each counted token, and the row's labels.

    Args:
        logps: (t,), log-probabilities of counted tokens in nats, in the order of the row's `owner`; or (2, t), with the
            divergence from a frozen reference where each was chosen.
        row: as the collator makes it.
        length_alpha: weight of the tokens of a pair's longer completion beyond the length of the shorter, in [0, 1].
    """

    def __init__(self, logps: Tensor, row: Mapping[str, Tensor], *, length_alpha: float = 1.0) -> None:
        self.divergence: Tensor | None = logps[1] if logps.ndim == 2 else None
        self.logps = logps[0] if logps.ndim == 2 else logps
        self.row, self.length_alpha = row, length_alpha

    def __getitem__(self, name: str) -> Tensor:
        side, _, what = name.partition("_")
        if side in ("chosen", "rejected") and hasattr(type(self), f"pair_{what}"):
            found: Tensor = getattr(self, f"pair_{what}")[0 if side == "chosen" else 1]
            return found
        if hasattr(type(self), f"item_{name}"):
            item: Tensor = getattr(self, f"item_{name}")
            return item
        found = self.row[name]
        return found.to(self.logps.dtype) if found.is_floating_point() else found

    @property
    def better(self) -> Tensor:
        """Which sequence is chosen, (m,)."""
        return self.row["pairs"][:, 0]

    @property
    def worse(self) -> Tensor:
        """Which sequence is rejected, (m,)."""
        return self.row["pairs"][:, 1]

    @cached_property
    def pair_logp(self) -> tuple[Tensor, Tensor]:
        """Under the policy, chosen and rejected."""
        return self._of_pairs(self.logps)

    @cached_property
    def pair_whole(self) -> tuple[Tensor, Tensor]:
        """The same with all tokens at weight 1."""
        return self._sides(self.sums(self.logps))

    @cached_property
    def pair_reference(self) -> tuple[Tensor, Tensor]:
        """Under the reference."""
        return self._of_pairs(self.row["reference_tokens"].to(self.logps.dtype))

    @cached_property
    def pair_ratio(self) -> tuple[Tensor, Tensor]:
        """Log-ratios: differences token by token first, which are small where sums are large."""
        return self._of_pairs(self.differences)

    @cached_property
    def pair_tokens(self) -> tuple[Tensor, Tensor]:
        """Counted tokens, all of them, whatever the weight of those beyond the other's length."""
        return self._sides(self.row["tokens"].to(self.logps.dtype))

    @cached_property
    def pair_score(self) -> tuple[Tensor, Tensor]:
        """How good each is said to be."""
        return self._sides(self.row["scores"].to(self.logps.dtype))

    @cached_property
    def differences(self) -> Tensor:
        """Log pi - log pi_ref of each counted token, (t,)."""
        return self.logps - self.row["reference_tokens"].to(self.logps.dtype)

    @cached_property
    def items(self) -> Tensor:
        """Which sequences have a label, (k,)."""
        return self.row["wanted"].isfinite().nonzero()[:, 0]

    @cached_property
    def item_label(self) -> Tensor:
        """1 wanted, 0 not, (k,)."""
        return self.row["wanted"].to(self.logps.dtype)[self.items]

    @cached_property
    def item_logp(self) -> Tensor:
        """Summed log-probability of labelled completions, (k,)."""
        return self.sums(self.logps)[self.items]

    @cached_property
    def item_tokens(self) -> Tensor:
        """Counted tokens of labelled completions, (k,)."""
        return self.row["tokens"].to(self.logps.dtype)[self.items]

    @cached_property
    def item_ratio(self) -> Tensor:
        """Log-ratios of labelled completions, (k,)."""
        return self.sums(self.differences)[self.items]

    @cached_property
    def scored(self) -> Tensor:
        """Which sequences have a score, (k,)."""
        return self.row["scores"].isfinite().nonzero()[:, 0]

    @cached_property
    def item_scored_ratio(self) -> Tensor:
        """Log-ratios of completions with a score, (k,)."""
        return self.sums(self.differences)[self.scored]

    @cached_property
    def item_scored_score(self) -> Tensor:
        """Their scores, (k,)."""
        return self.row["scores"].to(self.logps.dtype)[self.scored]

    @property
    def item_token_logps(self) -> Tensor:
        """Log-probabilities of the counted tokens, (t,)."""
        return self.logps

    @property
    def item_token_ratio(self) -> Tensor:
        """Log-ratios of the counted tokens, (t,)."""
        return self.differences

    @cached_property
    def item_token_old(self) -> Tensor:
        """Log-ratios of the counted tokens before the first step, (t,): 0 where the reference is the start."""
        reference = self.row["reference_tokens"].to(self.logps.dtype)
        return (
            self.row["start_tokens"].to(self.logps.dtype) - reference if "start_tokens" in self.row else 0 * reference
        )

    @property
    def item_token_divergence(self) -> Tensor:
        """KL from the reference over the vocabulary where each counted token was chosen, (t,)."""
        assert self.divergence is not None  # made for every algorithm that is anchored
        return self.divergence

    @cached_property
    def item_judged_forward(self) -> Tensor:
        """Logit of the judge that the first of each pair is better, shown as the candidate, (m,); see `judging`."""
        return self._answered(2)

    @cached_property
    def item_judged_backward(self) -> Tensor:
        """The same of the second, (m,)."""
        return self._answered(4)

    def _answered(self, after: int) -> Tensor:
        """Yes less no, which follow so many places behind the first of a pair."""
        sums = self.sums(self.logps)
        return sums[self.better + after] - sums[self.better + after + 1]

    @cached_property
    def item_token_said(self) -> Tensor:
        """1 for tokens of wanted completions, else 0, (t,)."""
        wanted = self.row["wanted"].nan_to_num(0.0).to(self.logps.dtype)
        return wanted[self.row["owner"]]

    def sums(self, tokens: Tensor) -> Tensor:
        """Sums over each sequence's tokens, (n,)."""
        return tokens.new_zeros(len(self.row["wanted"])).index_add(0, self.row["owner"], tokens)

    def _sides(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return numbers[self.better], numbers[self.worse]

    def _of_pairs(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over the tokens of both sides of each pair, those beyond the shorter one's length weighed."""
        if self.length_alpha == 1:
            return self._sides(self.sums(tokens))
        counts = self.row["tokens"]
        shared = torch.minimum(*self._sides(counts))
        up_to = torch.cat([tokens.new_zeros(1, dtype=torch.float64), tokens.double().cumsum(0)])
        start = counts.cumsum(0) - counts

        def side(which: Tensor) -> Tensor:
            first, last = start[which], start[which] + counts[which]
            common = up_to[first + shared] - up_to[first]
            return (common + self.length_alpha * (up_to[last] - up_to[first + shared])).to(tokens.dtype)

        return side(self.better), side(self.worse)
