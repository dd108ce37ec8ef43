"""The ledger: nothing counts twice, and what a job holds is what it cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, func, select

from bot.domain.policy import Limits, Unit, Window
from bot.store import accounts
from bot.store.accounts import Account, Amounts, Scope, Subject
from bot.store.tables import ledger, metadata

NOON = 1_781_524_800.0
USER = Subject(Scope.USER, 1)
SUBJECTS = accounts.subjects_of(1, 10, (31,))


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def held(connection: Connection, job_id: str) -> tuple[float, float]:
    """Images and device seconds a job holds in all."""
    query = select(func.sum(ledger.c.images), func.sum(ledger.c.gpu_seconds)).where(ledger.c.job_id == job_id)
    images, seconds = connection.execute(query).one()
    return images, seconds


def reserve(connection: Connection, job_id: str, at: float = NOON, images: float = 4) -> None:
    accounts.reserve(connection, job_id, 1, 10, {Account.ALLOWANCE: Amounts(images, 2.0)}, at)


def spent(connection: Connection, now: float = NOON) -> tuple[float, ...]:
    return tuple(accounts.used(connection, 1, SUBJECTS, Unit.IMAGES, now).values())


def test_every_verb_counts_once(connection: Connection) -> None:
    for _ in range(2):
        reserve(connection, "a")
        accounts.settle(connection, "a", 3.0)
    assert held(connection, "a") == (4, 3)
    for _ in range(2):
        accounts.refund(connection, "a")
        assert held(connection, "a") == (0, 0)


def test_windows_of_the_calendar(connection: Connection) -> None:
    for number, age in enumerate((0, 2 * 3600, 13 * 3600, 40 * 86400)):
        reserve(connection, str(number), NOON - age)
    assert spent(connection) == (4, 8, 12)


def test_a_refund_returns_to_the_window_it_was_taken_from(connection: Connection) -> None:
    reserve(connection, "a", NOON - 13 * 3600)
    reserve(connection, "b")
    accounts.refund(connection, "a")
    assert spent(connection) == (4, 4, 4)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_reset_reaches_everyone_it_names(connection: Connection, subject: Subject) -> None:
    reserve(connection, "a", NOON - 1)
    assert accounts.reset(connection, "key", subject, NOON)
    assert not accounts.reset(connection, "key", subject, NOON + 1)
    assert spent(connection, NOON + 1) == (0, 0, 0)


def test_a_grant_to_a_role_is_to_each_member(connection: Connection) -> None:
    accounts.grant(connection, "key", Subject(Scope.ROLE, 31), 5, Unit.IMAGES, NOON)
    accounts.reserve(connection, "a", 1, 10, {Account.GRANT: Amounts(3, 0)}, NOON)
    assert accounts.balance(connection, 1, SUBJECTS, Unit.IMAGES) == 2
    assert accounts.balance(connection, 2, accounts.subjects_of(2, 10, (31,)), Unit.IMAGES) == 5
    assert accounts.balance(connection, 3, accounts.subjects_of(3, 10, ()), Unit.IMAGES) == 0


def test_limits_say_none_unlimited_and_nothing(connection: Connection) -> None:
    for amount, told in ((7, 7), (None, 0), (0, accounts.NONE)):
        accounts.set_limit(connection, USER, Window.DAY, amount)
        limits = accounts.limits_of(connection, SUBJECTS)[USER]
        assert (limits.hour, limits.day) == (None, told)
    accounts.clear_limits(connection, USER)
    assert accounts.limits_of(connection, SUBJECTS) == {}


amounts = st.floats(0, 100)


@settings(deadline=None, max_examples=50)
@given(allowance=amounts, granted=amounts, measured=amounts)
def test_settling_charges_what_was_measured_and_spares_the_grant(
    allowance: float, granted: float, measured: float
) -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        accounts.grant(connection, "key", USER, 1000, Unit.GPU_SECONDS, NOON)
        parts = {Account.ALLOWANCE: Amounts(2, allowance), Account.GRANT: Amounts(2, granted)}
        accounts.reserve(connection, "a", 1, 10, parts, NOON)
        accounts.settle(connection, "a", measured)
        assert held(connection, "a") == pytest.approx((4, measured))
        drawn = 1000 - accounts.balance(connection, 1, SUBJECTS, Unit.GPU_SECONDS)
        assert drawn == pytest.approx(min(max(measured - allowance, 0), granted), abs=1e-6)
    engine.dispose()


@pytest.mark.parametrize("to", [Subject(Scope.ROLE, 31), Subject(Scope.GUILD, 10), USER, SUBJECTS[0]])
def test_deleting_ones_data_makes_no_credit_and_takes_none(connection: Connection, to: Subject) -> None:
    accounts.grant(connection, "key", to, 10, Unit.IMAGES, NOON)
    for drawn in (4, 6):
        accounts.reserve(connection, f"a{drawn}", 1, 10, {Account.GRANT: Amounts(drawn, 0)}, NOON)
        left = accounts.balance(connection, 1, SUBJECTS, Unit.IMAGES)
        accounts.forget(connection, 1, NOON + 90 * 86400)
        assert accounts.balance(connection, 1, SUBJECTS, Unit.IMAGES) == left
    assert left == 0


def test_a_reset_outlives_the_deletion_and_old_spending_does_not(connection: Connection) -> None:
    reserve(connection, "a")
    accounts.reset(connection, "key", SUBJECTS[0], NOON + 1)
    accounts.forget(connection, 1, NOON + 2)
    assert spent(connection, NOON + 3) == (0, 0, 0)
    accounts.forget(connection, 1, NOON + 90 * 86400)
    reserve(connection, "b")
    accounts.forget(connection, 1, NOON + 90 * 86400)
    assert connection.scalar(select(func.count()).where(ledger.c.account == Account.ALLOWANCE)) == 1


def test_deleting_twice_keeps_the_latest_limit_of_each_window(connection: Connection) -> None:
    accounts.set_limit(connection, USER, Window.DAY, 3)
    accounts.set_limit(connection, USER, Window.MONTH, 30)
    accounts.forget(connection, 1, NOON)
    accounts.forget(connection, 1, NOON)
    assert accounts.limits_of(connection, SUBJECTS)[USER] == Limits(day=3, month=30)
    accounts.set_limit(connection, USER, Window.DAY, 5)
    accounts.forget(connection, 1, NOON)
    assert accounts.limits_of(connection, SUBJECTS)[USER] == Limits(day=5, month=30)
