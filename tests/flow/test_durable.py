"""Whatever dies, the rows say what is owed: restarts on a copy of the folder, as a crash leaves it."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bot.domain.job import Job, JobStatus
from bot.errors import StoreError, UserError
from bot.services import blackbox
from bot.services.sink import SinkGone, SinkRefused
from bot.store import accounts, jobs
from engine.api import EngineBroken, EngineError
from engine.fake import Failure, FakeEngine
from tests.flow.conftest import ANN, BOB, House, RecordingSink, build

TRACE = "boot 0\nFatal Python error: Segmentation fault\n"


async def _after_crash(
    house: House, tmp_path: Path, engine: FakeEngine | None = None, trace: str | None = None
) -> House:
    """Another process on what the disk holds now; the first one is dropped, with a ``trace`` or a kill -9."""
    copy = tmp_path / uuid.uuid4().hex
    shutil.copytree(house.folder, copy)
    if trace is not None:
        (copy / blackbox.FILE).write_text(trace)
    return await build(copy, engine=engine or FakeEngine(), sink=house.sink)


async def test_a_job_killed_while_painting_is_painted_and_posted_once(house: House, tmp_path: Path) -> None:
    job = (await house.order()).job
    await house.submitted()
    house.engine.step(job.id, 3)
    second = await _after_crash(house, tmp_path)
    second.start()
    found = await second.until_status(job.id, JobStatus.POSTED)
    assert [posted[0] for posted in house.sink.posted] == [job.id]
    assert (found.attempts, found.kills) == (1, 1) and await second.books() == []
    await second.stop()


async def test_a_job_killed_between_files_and_rows_is_painted_again(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, hold = asyncio.Event(), asyncio.Event()
    keep = house.services.library.keep

    async def keep_and_stall(*args: object) -> object:
        rows = await keep(*args)  # type: ignore[arg-type]
        reached.set()
        await hold.wait()
        return rows

    monkeypatch.setattr(type(house.services.library), "keep", lambda self, *args: keep_and_stall(*args))
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    await reached.wait()
    monkeypatch.undo()
    second = await _after_crash(house, tmp_path)
    assert await second.status(job.id) is JobStatus.QUEUED
    second.start()
    await second.until_status(job.id, JobStatus.POSTED)
    assert len(house.sink.posted) == 1 and await second.books() == []
    await second.stop()
    hold.set()


async def test_what_a_kill_left_half_written_is_swept_and_nothing_else(house: House, tmp_path: Path) -> None:
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)
    kept = await house.services.library.keep_input(b"a picture that no row names yet")
    images = house.folder / "images"
    (images / "00").mkdir()
    (images / "00" / ".0_00.png.part").write_bytes(b"half a pict")
    second = await _after_crash(house, tmp_path)
    left = {
        str(path.relative_to(second.folder / "images")) for path in (second.folder / "images").rglob("*.p*")
    }
    rows = await second.services.pictures(job.id)
    assert left == {str(row.path.relative_to(second.folder / "images")) for row in rows}
    assert len(rows) == 4 and kept not in left
    await second.stop()


async def test_a_send_whose_reply_was_lost_is_not_sent_again(house: House) -> None:
    house.sink.lost_replies = [ConnectionResetError(104, "reset")]
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    done = await house.until_status(job.id, JobStatus.POSTED)
    assert len(house.sink.posted) == 1 and house.sink.searched == [job.id]
    assert done.result_message_id == 1001


async def test_a_send_that_failed_is_sent_again(house: House) -> None:
    house.sink.faults = [OSError("down"), OSError("still down")]
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)
    assert len(house.sink.posted) == 1 and house.sink.posting == 3


async def test_killed_after_the_send_the_message_is_found(house: House, tmp_path: Path) -> None:
    house.sink.gate.clear()
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    await house.sink.until(lambda: house.sink.posting == 1)
    second = await _after_crash(house, tmp_path)
    house.sink.posted.append((job.id, ()))
    second.start()
    done = await second.until_status(job.id, JobStatus.POSTED)
    assert len(house.sink.posted) == 1 and done.result_message_id == 1001
    await second.stop()
    house.sink.gate.set()


async def test_what_is_refused_three_times_is_given_up_and_stays_paid_and_kept(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.sink.faults = [SinkRefused("error 20026: Unknown trouble")] * 3
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    done = await house.until_status(job.id, JobStatus.POSTED)
    assert house.sink.posting == 3 and house.sink.posted == []
    assert done.error == "It could not be posted: error 20026: Unknown trouble"
    assert "is given up, refused 3 times: error 20026" in caplog.text
    assert len(await house.services.pictures(job.id)) == 4 and await house.books() == []
    assert (await house.services.quotas.info(ANN, job.place)).images == 4


async def test_what_is_refused_twice_is_posted_all_the_same(house: House) -> None:
    house.sink.faults = [SinkRefused("no"), SinkRefused("no")]
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    done = await house.until_status(job.id, JobStatus.POSTED)
    assert [posted[0] for posted in house.sink.posted] == [job.id] and done.error is None


async def test_a_place_that_is_gone_owes_nothing(house: House) -> None:
    house.sink.faults = [SinkGone()]
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    done = await house.until_status(job.id, JobStatus.POSTED)
    assert done.result_message_id is None and done.error == "The place it was asked for no longer exists."
    assert len(await house.services.pictures(job.id)) == 4


async def test_a_job_that_crashes_the_process_is_given_up_and_its_neighbour_waits_for_one_attempt(
    house: House, tmp_path: Path
) -> None:
    poison = (await house.order("poison")).job
    await house.order("an apple")
    await house.submitted(2)
    second = await _after_crash(house, tmp_path, FakeEngine(manual=True), trace=TRACE)
    second.orders = 10
    second.start()
    await second.submitted()
    await second.order("fresh", who=BOB)
    for _ in range(3):
        await second.services.database.write(lambda connection: None)
    assert [spec.prompt for spec in second.engine.submitted] == ["poison"]  # alone
    third = await _after_crash(second, tmp_path, FakeEngine(manual=True), trace=TRACE)
    third.start()
    for count, prompt in enumerate(("an apple", "fresh", "poison"), start=1):
        await third.submitted(count)
        assert [spec.prompt for spec in third.engine.submitted][-1] == prompt
        if prompt != "poison":
            innocent = third.engine.submitted[-1].job_id
            third.engine.finish(innocent)
            await third.until_status(innocent, JobStatus.RENDERED, JobStatus.POSTING, JobStatus.POSTED)
    last = await _after_crash(third, tmp_path, trace=TRACE)
    assert await last.status(poison.id) is JobStatus.FAILED and await last.books() == []
    last.start()
    await house.sink.until(lambda: bool(house.sink.told))
    assert house.sink.told == [
        (poison.id, "It stopped the engine 3 times, so it is given up. It cost you nothing.")
    ]
    for old in (second, third, last):
        await old.stop()


async def test_kills_from_outside_are_no_attempts_but_not_endless(house: House, tmp_path: Path) -> None:
    """kill -9 says nothing of the job, unless it comes each time the job is there."""
    job = (await house.order()).job
    await house.submitted()
    houses = [house]
    for kills in range(1, 10):
        houses.append(await _after_crash(houses[-1], tmp_path, FakeEngine(manual=True)))
        houses[-1].start()
        await houses[-1].submitted()
        found = await houses[-1].services.job(job.id)
        assert found is not None and (found.attempts, found.kills) == (1, kills)
    last = await _after_crash(houses[-1], tmp_path)
    assert await last.status(job.id) is JobStatus.FAILED and await last.books() == []
    last.start()
    await house.sink.until(lambda: bool(house.sink.told))
    assert house.sink.told == [
        (job.id, "I was ended 10 times while I painted it, so it is given up. It cost you nothing.")
    ]
    for old in (*houses[1:], last):
        await old.stop()


async def test_a_trace_is_counted_once(house: House, tmp_path: Path) -> None:
    job = (await house.order()).job
    await house.submitted()
    second = await _after_crash(house, tmp_path, FakeEngine(manual=True), trace=TRACE)
    second.start()
    await second.submitted()
    third = await _after_crash(second, tmp_path, FakeEngine(manual=True))
    found = await third.services.job(job.id)
    assert found is not None and (found.attempts, found.kills) == (1, 1)
    assert (third.folder / blackbox.LAST).read_text() == TRACE
    for old in (second, third):
        await old.stop()


async def test_a_failed_job_is_told_and_refunded(tmp_path: Path) -> None:
    failures = {"bad": Failure(EngineError("The picture came out black."), retryable=False)}
    house = await build(tmp_path / "data", engine=FakeEngine(failures=failures))
    house.start()
    job = (await house.order("a bad apple")).job
    await house.sink.until(lambda: bool(house.sink.told))
    assert house.sink.told == [(job.id, "The picture came out black. It cost you nothing.")]
    assert await house.status(job.id) is JobStatus.FAILED and await house.books() == []
    info = await house.services.quotas.info(ANN, job.place)
    assert all(bucket.used == 0 for bucket in info.standing.buckets)
    await house.stop()


async def test_a_list_that_was_read_too_early_tells_nobody_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told while the outbox reads what is owed stands on its list still."""
    failures = {"black": Failure(EngineError("The picture came out black"))}
    house = await build(tmp_path / "data", engine=FakeEngine(failures=failures))
    listed: dict[str, Job] = {}
    owed = jobs.owed

    def late(connection: Connection) -> list[Job]:
        listed.update((job.id, job) for job in owed(connection))
        return list(listed.values())

    monkeypatch.setattr(jobs, "owed", late)
    house.start()
    failed = (await house.order("black")).job
    await house.sink.until(lambda: bool(house.sink.told))
    for _ in range(3):
        other = (await house.order()).job
        await house.until_status(other.id, JobStatus.POSTED)
    assert [job_id for job_id, _ in house.sink.told] == [failed.id]
    assert len(house.sink.posted) == 3
    await house.stop()


@pytest.mark.parametrize(("times", "end"), [(2, JobStatus.POSTED), (None, JobStatus.FAILED)])
async def test_retryable_errors_are_tried_three_times(
    tmp_path: Path, times: int | None, end: JobStatus
) -> None:
    failures = {"bad": Failure(EngineError("Out of luck."), retryable=True, times=times)}
    house = await build(tmp_path / "data", engine=FakeEngine(failures=failures))
    house.start()
    job = (await house.order("a bad apple")).job
    done = await house.until_status(job.id, end)
    assert done.attempts == 3 and len(house.engine.submitted) == 3 and await house.books() == []
    await house.stop()


async def test_a_broken_engine_ends_the_run_and_loses_nothing(house: House, tmp_path: Path) -> None:
    job = (await house.order()).job
    await house.submitted()
    house.engine.crash()
    assert house.task is not None
    with pytest.raises(EngineBroken):
        await house.task
    house.task = None
    assert await house.status(job.id) is JobStatus.QUEUED
    second = await _after_crash(house, tmp_path)
    second.start()
    await second.until_status(job.id, JobStatus.POSTED)
    await second.stop()


async def test_drain_refuses_orders_finishes_posts_and_leaves_rows(house: House) -> None:
    first = (await house.order()).job
    await house.submitted()
    house.sink.gate.clear()
    house.engine.finish(first.id)
    await house.sink.until(lambda: house.sink.posting == 1)
    second = (await house.order()).job
    await house.submitted(2)
    draining = asyncio.create_task(house.services.drain())
    await asyncio.sleep(0)
    with pytest.raises(UserError, match="about to restart; try again in a minute"):
        await house.order()
    house.sink.gate.set()
    await draining
    assert await house.status(first.id) is JobStatus.POSTED
    left = await house.services.job(second.id)
    assert left is not None and (left.status, left.attempts) == (JobStatus.QUEUED, 0)


async def test_cancel_of_a_waiting_and_of_a_running_job(house: House) -> None:
    running = (await house.order()).job
    await house.submitted()
    for _ in range(3):
        waiting = (await house.order()).job
    for job in (waiting, running):
        gone = await house.services.cancel(job.id, ANN)
        assert gone.status is JobStatus.CANCELLED
    await house.sink.until(lambda: len(house.sink.told) == 2)
    assert running.id in house.engine.cancelled and await house.books() == []
    with pytest.raises(UserError, match="too late to cancel"):
        await house.services.cancel(running.id, ANN)


async def test_no_progress_is_shown_after_a_cancel(house: House) -> None:
    job = (await house.order()).job
    await house.submitted()
    house.engine.cancel = lambda job_id: None  # type: ignore[method-assign]
    await house.services.cancel(job.id, ANN)
    await house.sink.until(lambda: len(house.sink.told) == 1)
    house.engine.step(job.id, 3)
    after = (await house.order()).job
    await house.submitted(2)
    house.engine.finish(after.id)
    await house.until_status(after.id, JobStatus.POSTED)
    assert job.id not in [told[0] for told in house.sink.progressed]


async def test_cancelled_beats_a_finish_that_comes_too_late(house: House) -> None:
    job = (await house.order()).job
    await house.submitted()
    house.engine.cancel = lambda job_id: None  # type: ignore[method-assign]
    await house.services.cancel(job.id, ANN)
    house.engine.finish(job.id)
    after = (await house.order()).job
    await house.submitted(2)
    house.engine.finish(after.id)
    await house.until_status(after.id, JobStatus.POSTED)
    assert [posted[0] for posted in house.sink.posted] == [after.id]
    assert await house.status(job.id) is JobStatus.CANCELLED and await house.books() == []


async def test_the_disk_fills_up_while_pictures_are_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, faults = type(house.services.library).keep, [OSError(28, "No space left on device")] * 2

    async def keep_or_fail(self: object, *args: object) -> object:
        if faults:
            raise faults.pop()
        return await keep(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(type(house.services.library), "keep", keep_or_fail)
    monkeypatch.setattr(house.services.recorder, "_retry_after", 0.0)
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)
    assert not faults and await house.books() == []


async def test_pictures_that_a_full_disk_keeps_in_memory_close_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build(tmp_path / "data", ENGINE__WINDOW="1")
    full, tried, keep = [True], asyncio.Event(), type(house.services.library).keep

    async def keep_or_fail(self: object, *args: object) -> object:
        tried.set()
        if full:
            raise OSError(28, "No space left on device")
        return await keep(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(type(house.services.library), "keep", keep_or_fail)
    monkeypatch.setattr(house.services.recorder, "_retry_after", 0.001)
    house.start()
    orders = [(await house.order()).job for _ in range(2)]
    await house.submitted()
    house.engine.finish()
    await tried.wait()
    for _ in range(3):
        await house.services.database.write(lambda connection: None)
    assert (await house.services.queue()).queued == 1 and len(house.engine.submitted) == 1
    full.clear()
    await house.submitted(2)
    house.engine.finish()
    for job in orders:
        await house.until_status(job.id, JobStatus.POSTED)
    assert await house.books() == []
    await house.stop()


async def test_pictures_that_could_not_be_kept_before_the_end_are_no_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def keep(*_: object) -> object:
        tried.set()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(house.services.library), "keep", keep)
    job = (await house.order()).job
    await house.submitted()
    house.engine.finish(job.id)
    await tried.wait()
    await house.services.drain()
    left = await house.services.job(job.id)
    assert left is not None and (left.status, left.attempts) == (JobStatus.QUEUED, 0)


async def test_a_second_process_is_told_who_has_the_folder(house: House) -> None:
    with pytest.raises(StoreError, match=r"is already in use by process \d+; stop that one first"):
        await build(house.folder, sink=RecordingSink())


async def test_the_books_notice_a_charge_without_a_picture(house: House) -> None:
    job = (await house.order()).job
    await house.submitted()
    await house.services.database.write(lambda connection: jobs.move(connection, job.id, JobStatus.FAILED))
    assert len(await house.books()) == 1
    await house.services.database.write(lambda connection: accounts.refund(connection, job.id))
    assert await house.books() == []
