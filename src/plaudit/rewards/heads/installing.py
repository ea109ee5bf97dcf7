"""How a composed head comes into the `score` slot of a stock classification model, new or from a folder."""

from __future__ import annotations

from typing import Any

import torch

from plaudit.errors import UnsupportedError
from plaudit.rewards.heads.composed import ComposedHead, Network


def install_network(model: Any, network: Network) -> Any:
    """Puts a fresh head of that form into the `score` slot.

    Args:
        model: a sequence-classification model of a decoder.
        network: the head's form.

    Returns:
        The model, changed in place.

    Raises:
        UnsupportedError: if the model has no linear `score` (encoders classify by a head of their own).
    """
    score = getattr(model, "score", None)
    if not isinstance(score, torch.nn.Linear):
        raise UnsupportedError(
            f"{model.config.model_type}: has no linear `score` that a composed head could replace; "
            "take a decoder, or an objective with a plain linear head"
        )
    model.score = ComposedHead(network, score.in_features).to(device=score.weight.device, dtype=score.weight.dtype)
    model.config.num_labels = network.outputs
    return model


def network_class(config: Any, network: Network) -> Any:
    """The stock classification class of a configuration with a composed head, for `from_pretrained`.

    A class of its own lets transformers read the head's weights like all others, report missing ones, and fetch them
    from the hub.

    Args:
        config: of the model.
        network: the head's form.
    """
    from transformers import AutoModelForSequenceClassification

    stock = AutoModelForSequenceClassification._model_mapping[type(config)]

    def build(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        stock.__init__(self, config, *args, **kwargs)
        install_network(self, network)

    return type(stock.__name__, (stock,), {"__init__": build, "__module__": stock.__module__})
