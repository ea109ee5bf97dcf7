"""Heads: from hidden states at the ends of prompt and completion to the numbers that a reader reads."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AttributeAttention": "attribute_attention",
        "ComposedHead": "composed",
        "Network": "composed",
        "install_network": "installing",
        "network_class": "installing",
    },
)
