"""What travels between candidate and tests: plain data only, read without trust."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, OrderedDict, deque, namedtuple
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.rewards.verifiers.code.guest import wire


def refuse(*_):
    raise wire.WireError("not plain")


def there_and_back(value, **options):
    return wire.decode(json.loads(json.dumps(wire.encode(value, refuse))), refuse, **options)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.fractions() | st.decimals(allow_nan=False) | st.complex_numbers(allow_nan=False) | st.datetimes() | st.timedeltas()  # noqa: E501
)  # fmt: skip
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
        | st.lists(inner, max_size=3).map(deque)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(plain)
def test_plain_data_arrives_as_it_was(value):
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


def test_types_are_kept_apart():
    for value in (1, 1.0, True, (1,), [1], {1}, frozenset({1}), b"1", bytearray(b"1"), range(1), 1 + 0j, "1"):
        assert type(there_and_back(value)) is type(value)
    assert there_and_back(int) is int
    assert there_and_back(2**200) == 2**200
    assert there_and_back(...) is ...


def test_subclasses_travel_as_what_they_derive_from():
    Point = namedtuple("Point", "x y")
    assert there_and_back(Point(1, 2)) == (1, 2)
    assert type(there_and_back(Counter("aab"))) is dict
    assert there_and_back(OrderedDict(a=1)) == {"a": 1}

    class Agrees(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    found = there_and_back(Agrees(3))
    assert type(found) is int
    assert found != 4


def test_numbers_that_are_not_finite_can_be_refused():
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back([math.inf]) == [math.inf]
    for value in (math.nan, [1, -math.inf], {"a": (math.inf,)}, complex(0, math.nan)):
        with pytest.raises(wire.NonFiniteError, match="not finite"):
            there_and_back(value, finite=True)
    with pytest.raises(wire.NonFiniteError):
        wire.decode(json.loads("[NaN]"), refuse, finite=True)  # JSON as Python reads it, without a tag


def test_times_decimals_and_fractions():
    for value in (datetime(2020, 1, 2, 3), date(2020, 1, 2), timedelta(1, 2, 3), Decimal("1.10"), Fraction(1, 3)):
        assert there_and_back(value) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["t", "v", "k", "x"]), inner, max_size=3)  # noqa: E501
    | st.fixed_dictionaries({"t": st.sampled_from(sorted(wire._READERS)), "v": inner}),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(json_values)
def test_no_message_does_more_than_be_refused(message):
    try:
        wire.decode(message, refuse)
    except (wire.WireError, wire.NonFiniteError):
        pass


def test_frames_end_floods_and_rubbish():
    def frame(body):
        read, write = os.pipe()
        os.write(write, body)
        os.close(write)
        try:
            return wire.read_frame(read)
        finally:
            os.close(read)

    assert frame(b"\0\0\0\x02[]") == []
    for body in (b"", b"\0\0", b"\0\0\0\x09[]"):
        with pytest.raises(wire.ClosedError):
            frame(body)
    with pytest.raises(wire.FloodError, match="at most"):
        frame(b"\x7f\xff\xff\xff[]")
    for body in (b"\0\0\0\x01{", b"\0\0\0\x02\xff\xff", b"\0\0\x27\x10" + b"[" * 10_000):
        with pytest.raises(wire.WireError):
            frame(body)
    with pytest.raises(wire.FloodError):
        wire.write_frame(1, "x" * (wire.FRAME + 1))


def test_deep_and_endless_values_are_an_error_and_no_crash():
    endless: list = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        wire.encode(endless, refuse)
