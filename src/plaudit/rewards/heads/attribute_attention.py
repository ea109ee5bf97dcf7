"""Attention by which a known attribute asks the tokens what matters for it: Fair Identity Attention [16].

    y = x + MHA(query = LN(e_a + positions), key = value = LN(x)),      out = y + MLP(LN(y))

with the embedding e_a of each sample's attribute. It stands between a backbone's states and a head, so that one score
may read different words for different groups. It needs the attribute at inference: where that may not be used, or is
not known, it is no remedy.

Source: Tian et al. 2024, "FairDomain" [16].

Differs from the paper: both output projections begin at zero, so that the module begins as the identity and a trained
model can take it in without a jump; padded tokens are left out of keys.
"""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from plaudit.errors import InputError, ShapeError


@final
class AttributeAttention(nn.Module):
    """One layer of attribute-conditioned attention with a residual connection.

    Args:
        width: d, of the states; a multiple of `heads`.
        attributes: number of values that the attribute has.
        tokens: longest sequence; each place has an embedding of its own in the query.
        heads: of the attention.
        hidden: width of the network, as a multiple of d.

    Raises:
        InputError: if a size is below 1, or the width no multiple of the heads.
    """

    def __init__(self, width: int, attributes: int, *, tokens: int, heads: int = 4, hidden: int = 4) -> None:
        super().__init__()
        if min(width, attributes, tokens, heads, hidden) < 1 or width % heads:
            raise InputError(
                f"AttributeAttention: width {width}, attributes {attributes}, tokens {tokens}, heads {heads}, hidden "
                f"{hidden}; give at least 1 each, and a width that is a multiple of the heads"
            )
        self.attribute, self.place = nn.Embedding(attributes, width), nn.Embedding(tokens, width)
        self.before_query, self.before_key, self.before_network = (nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.network = nn.Sequential(nn.Linear(width, hidden * width), nn.GELU(), nn.Linear(hidden * width, width))
        last = self.network[-1]
        for layer in (self.attention.out_proj, last):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self, x: Float[Tensor, "b n d"], attribute: Int[Tensor, " b"], mask: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """The states, with what the attribute adds.

        Args:
            x: states of the tokens.
            attribute: of each sample, 0 to `attributes - 1`.
            mask: True where a token counts; a sample needs at least one.

        Raises:
            ShapeError: if there is not one attribute a sample, or there are more tokens than places.
        """
        if attribute.shape != x.shape[:1] or x.shape[1] > self.place.num_embeddings:
            raise ShapeError(
                f"AttributeAttention: states {tuple(x.shape)} and attributes {tuple(attribute.shape)} with "
                f"{self.place.num_embeddings} places; give (b, n, d), (b,), and at most so many tokens"
            )
        places = torch.arange(x.shape[1], device=x.device)
        asked = self.before_query(self.attribute(attribute)[:, None] + self.place(places)[None])
        keys = self.before_key(x)
        found, _ = self.attention(
            asked, keys, keys, key_padding_mask=None if mask is None else ~mask, need_weights=False
        )
        y = x + found
        out: Tensor = y + self.network(self.before_network(y))
        return out
