"""One person's reward by reference: a model's folder with its user model, and a file of the person's pairs."""

from __future__ import annotations

from plaudit.errors import MissingError
from plaudit.rewards.people.personal import PersonalReward
from plaudit.rewards.people.users import FILE, VariationalUsers
from plaudit.rewards.uncertainty.files import open_base, read_pairs


def open_variational(of: str, context: str, draws: int = 16) -> PersonalReward:
    """The reward of whoever judged the rows of a file.

    Args:
        of: a reward model's folder, or its run's, beside whose weights a user model stands.
        context: file of the person's pairs.
        draws: see `VariationalUsers.for_user`.

    Raises:
        MissingError: if there is no user model.
        IntegrityError: if it was fitted to other weights.
        InputError: if the context holds no preference.
    """
    reward, folder = open_base("personal/variational", of)
    if not (folder / FILE).is_file():
        raise MissingError(
            f"{of}: holds no {FILE}; fit one to pairs with annotators (plaudit train --objective variational)"
        )
    return VariationalUsers.load(reward, folder).for_user(read_pairs(context), draws=draws)
