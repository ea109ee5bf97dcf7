"""Fitting what is learned of people on the features of a reward model."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__, {"UserFit": "variational", "fit_user_network": "variational", "fit_users": "variational"}
)
