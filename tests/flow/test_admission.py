"""What is let in, what is charged, and what is refused with which sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import load
from bot.domain.job import Action, JobStatus, Place, Requester
from bot.domain.policy import Window
from bot.domain.prompt import parse
from bot.errors import NotAllowed, PromptError, QuotaExceeded, TooManyJobs, UserError
from bot.services import specs
from bot.services.admission import Admitted, Order
from bot.store.accounts import Scope, Subject
from engine.api import Lane
from tests.flow.conftest import ADMIN, ANN, BOB, HERE, House, build

SOMEONE = Subject(Scope.USER, ANN.user_id)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[House]:
    """Four images a day; nothing runs, so that jobs stay in the queue."""
    house = await build(tmp_path / "data", QUOTA__DAY="4")
    yield house
    await house.services.close()


async def _burst(house: House, who: tuple[Requester, ...]) -> list[Admitted | BaseException]:
    tries = [house.order("an apple --n 1", who=one) for one in who]
    return await asyncio.gather(*tries, return_exceptions=True)


async def test_two_hundred_at_once_on_the_last_credit_yield_one_job(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", QUOTA__DAY="1", LIMITS__WAITING="1000")
    results = await _burst(house, (ANN,) * 200)
    admitted = [result for result in results if isinstance(result, Admitted)]
    refused = [result for result in results if isinstance(result, QuotaExceeded)]
    assert (len(admitted), len(refused)) == (1, 199)
    assert (await house.services.queue()).queued == 1 and await house.books() == []
    await house.services.close()


async def test_the_same_interaction_twice_is_one_job(small: House) -> None:
    order = Order(77, ANN, HERE, Action.IMAGINE, parse("an apple"))
    results = await asyncio.gather(*(small.services.admission.admit(order) for _ in range(5)))
    assert len({result.job.id for result in results}) == 1
    assert sorted(result.fresh for result in results) == [False] * 4 + [True]
    assert not (await small.services.admission.admit(order)).fresh


async def test_going_over_tells_when_it_refills(small: House) -> None:
    await small.order()
    with pytest.raises(QuotaExceeded) as told:
        await small.order("another --n 1")
    assert str(told.value) == (
        "This job costs 1 image and you have 0 images left of 4 images for this day; "
        "it refills 2026-06-16 at 00:00 UTC (<t:1781568000:R>). Nothing was taken."
    )
    assert told.value.refills_at == 1781568000
    small.clock.now = 1781568000.0
    await small.order("another --n 1")


async def test_ten_wait_beside_three_and_the_fourteenth_is_told_so(tmp_path: Path) -> None:
    house = await build(tmp_path / "data")
    house.start()
    for _ in range(13):
        await house.order("an apple --n 1")
    with pytest.raises(TooManyJobs, match="You already have 13 jobs that are not done; 3 may run and 10 may"):
        await house.order("an apple --n 1")
    await house.submitted(3)
    queue = await house.services.queue()
    assert (queue.running, queue.queued, len(house.engine.submitted)) == (3, 10, 3)
    await house.order(who=BOB)
    await house.submitted(4)
    await house.stop()


async def test_users_take_turns_and_relaxed_work_waits(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", ENGINE__WINDOW="1")
    await house.order("slow --relax", who=Requester(5))
    for number in range(3):
        await house.order(f"ann {number}")
    await house.order("bob", who=BOB)
    house.start()
    for count in range(1, 6):
        await house.submitted(count)
        house.engine.finish()
    prompts = [spec.prompt for spec in house.engine.submitted]
    assert prompts == ["ann 0", "bob", "ann 1", "ann 2", "slow"]
    await house.stop()


async def test_relaxed_jobs_cost_their_share(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", QUOTA__DAY="4", QUOTA__RELAX_FACTOR="0.25")
    for _ in range(4):
        await house.order("an apple --relax")
    with pytest.raises(QuotaExceeded):
        await house.order("an apple --relax")
    assert await house.books() == []
    await house.services.close()


async def test_gpu_seconds_are_reserved_by_estimate_and_settled_by_measure(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", QUOTA__UNIT="gpu_seconds", QUOTA__DAY="2")
    house.start()
    job = (await house.order("an apple --steps 10")).job
    day = (await house.services.quotas.info(ANN, HERE)).standing.buckets[1]
    assert day.used == pytest.approx(0.4)
    await house.submitted()
    house.engine._seconds_per_step = 0.02
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)
    day = (await house.services.quotas.info(ANN, HERE)).standing.buckets[1]
    assert day.used == pytest.approx(0.8) and await house.books() == []
    await house.stop()


async def test_grants_are_spent_when_the_window_is_empty(small: House) -> None:
    await small.services.quotas.grant(ADMIN, SOMEONE, 3, key="a")
    await small.services.quotas.grant(ADMIN, SOMEONE, 3, key="a")
    await small.order("an apple --n 3")
    await small.order("an apple --n 3")
    standing = (await small.services.quotas.info(ANN, HERE)).standing
    assert (standing.buckets[1].left, standing.granted, standing.left) == (0, 1, 1)
    with pytest.raises(QuotaExceeded, match="you have 1 image left of 5 images"):
        await small.order("an apple --n 2")
    queued = (await small.order("an apple --n 1")).job
    await small.services.cancel(queued.id, ANN)
    assert (await small.services.quotas.info(ANN, HERE)).standing.granted == 1
    assert await small.books() == []


async def test_user_goes_before_role_before_server_before_default(small: House) -> None:
    quotas, day = small.services.quotas, Window.DAY
    member = Requester(ANN.user_id, role_ids=(31, 32))

    async def limit() -> float:
        return (await quotas.info(member, HERE)).standing.buckets[1].limit

    seen = [await limit()]
    for subject, amount in (
        (Subject(Scope.DEFAULT), 5),
        (Subject(Scope.GUILD, 10), 6),
        (Subject(Scope.ROLE, 31), 8),
        (Subject(Scope.ROLE, 32), 7),
        (SOMEONE, 1),
        (SOMEONE, None),
    ):
        await quotas.set(ADMIN, subject, day, amount)
        seen.append(await limit())
    assert seen == [4, 5, 6, 8, 8, 1, 0]


async def test_no_credit_at_all_is_said(small: House) -> None:
    await small.services.quotas.set(ADMIN, SOMEONE, Window.DAY, 0)
    for text in ("an apple --n 1", "an apple --n 1 --relax"):
        with pytest.raises(QuotaExceeded, match="You have no credit here; ask an admin for some"):
            await small.order(text)


async def test_reset_forgets_what_was_used(small: House) -> None:
    await small.order()
    small.clock.now += 1
    await small.services.quotas.reset(ADMIN, Subject(Scope.DEFAULT))
    small.clock.now += 1
    await small.order()
    assert (await small.services.quotas.info(ANN, HERE)).standing.buckets[1].used == 4


async def test_an_admin_has_no_say_in_other_servers(small: House) -> None:
    quotas, elsewhere = small.services.quotas, Subject(Scope.USER, ANN.user_id, 666)
    await quotas.set(ADMIN, elsewhere, Window.DAY, None)
    await quotas.grant(ADMIN, elsewhere, 1000)
    await small.order()
    small.clock.now += 1
    await quotas.reset(ADMIN, elsewhere)
    small.clock.now += 1
    standing = (await quotas.info(ANN, HERE)).standing
    assert (standing.buckets[1].used, standing.left) == (4, 0)
    there = (await quotas.info(ANN, Place(666, 1))).standing
    assert (there.left, there.granted) == (1004, 1000)


async def test_only_admins_touch_quotas(small: House) -> None:
    quotas = small.services.quotas
    for verb in (
        quotas.show(ANN, SOMEONE),
        quotas.set(ANN, SOMEONE, Window.DAY, 1),
        quotas.grant(ANN, SOMEONE, 1),
        quotas.reset(ANN, SOMEONE),
    ):
        with pytest.raises(NotAllowed, match="Only admins may see or change quotas"):
            await verb


async def test_strangers_cancel_and_delete_nothing(small: House) -> None:
    job = (await small.order()).job
    for verb, name in ((small.services.cancel, "cancel"), (small.services.delete, "delete")):
        with pytest.raises(NotAllowed, match=f"or an admin, may {name} it"):
            await verb(job.id, BOB)
    await small.services.cancel(job.id, ADMIN)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("an apple --model nope", "there is no such model here; choose one of sketch"),
        ("an apple --n 6", "must be a whole number from 1 to 5"),
        ("a forbidden fruit", "'forbidden' are not painted here"),
        ("a for(bid:1.2)den fruit", "'forbidden' are not painted here"),
    ],
)
async def test_refusals_say_what_to_type(tmp_path: Path, text: str, sentence: str) -> None:
    house = await build(tmp_path / "data", LIMITS__MAX_IMAGES="5", MODERATION__BLOCKED_WORDS="forbidden")
    with pytest.raises(UserError) as told:
        await house.order(text)
    assert sentence in str(told.value)
    assert (await house.services.queue()).queued == 0 and await house.books() == []
    await house.services.close()


async def test_faults_of_one_prompt_come_together(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", LIMITS__MAX_IMAGES="5", LIMITS__MAX_STEPS="20")
    with pytest.raises(PromptError) as told:
        await house.order("an apple --n 6 --steps 30")
    assert len(told.value.faults) == 2 and told.value.prompt == "an apple --steps 30 --n 6"
    await house.services.close()


async def test_a_button_of_a_deleted_job_says_so(small: House) -> None:
    with pytest.raises(UserError, match="was deleted; start anew with /imagine"):
        await small.order(None, action=Action.UPSCALE, parent="0" * 32, index=0)


async def test_where_only_the_token_answers_long_waits_are_refused(small: House) -> None:
    small.engine._seconds_per_step = 100.0
    order = Order(1, ANN, HERE, Action.IMAGINE, parse("an apple"), token_only=True)
    with pytest.raises(UserError, match="Discord lets me answer for 15"):
        await small.services.admission.admit(order)


async def test_ahead_counts_turns(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", QUOTA__DAY="0")
    for _ in range(5):
        await house.order()
    first = await house.order(who=BOB)
    second = await house.order(who=BOB)
    relaxed = await house.order("an apple --relax", who=Requester(3))
    assert (first.ahead, second.ahead, relaxed.ahead) == (1, 3, 7)
    assert first.wait_s == pytest.approx(1.6)
    ahead, seconds = await house.services.wait_estimate(second.job.id)
    assert ahead == 3 and seconds == pytest.approx(3.2)
    await house.services.close()


async def test_a_light_user_gets_in_beside_a_full_window(tmp_path: Path) -> None:
    """The engine lets them through at the next step, once it knows of them."""
    house = await build(
        tmp_path / "data", QUOTA__DAY="0", ENGINE__WINDOW="4", LIMITS__RUNNING="16", LIMITS__WAITING="16"
    )
    for number in range(16):
        await house.order(f"ann {number}")
    house.start()
    await house.submitted(4)
    await house.order("bob", who=BOB)
    await house.submitted(5)
    await house.order("bob again", who=BOB)
    for spec in house.engine.submitted[:2]:
        house.engine.finish(spec.job_id)
    await house.submitted(6)
    assert [spec.prompt for spec in house.engine.submitted[4:]] in (["bob", "bob again"], ["bob", "ann 4"])
    await house.stop()


async def test_a_relaxed_job_that_waited_long_goes_as_a_fast_one(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", QUOTA__DAY="0", ENGINE__WINDOW="1")
    await house.order("slow --relax", who=Requester(5))
    for number in range(3):
        await house.order(f"ann {number}")
    house.clock.now += 601
    house.start()
    for count in range(1, 5):
        await house.submitted(count)
        house.engine.finish()
    sent = [(spec.prompt, spec.lane) for spec in house.engine.submitted]
    assert sent[0][0] == "ann 0" or sent[0] == ("slow", Lane.FAST)
    assert ("slow", Lane.FAST) in sent[:2]
    await house.stop()


async def test_a_role_has_its_weight(tmp_path: Path) -> None:
    file = tmp_path / "tessera.toml"
    file.write_text("[limits.shares]\n7 = 2.5\n8 = 4\n")
    settings = load(file, {})
    assert [specs.share_of(roles, settings) for roles in ((), (9,), (7,), (7, 8))] == [1.0, 1.0, 2.5, 4.0]
