"""The states of a job: only what the table of transitions allows."""

from __future__ import annotations

import itertools

import pytest

from bot.domain.job import TRANSITIONS, UNFINISHED, Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import Prompt


def job(status: JobStatus) -> Job:
    return Job("a" * 32, 1, Action.IMAGINE, Requester(1), Place(None, 2), Prompt("cat"), (7,), status, 0.0)


@pytest.mark.parametrize(("start", "end"), list(itertools.product(JobStatus, JobStatus)))
def test_only_legal_moves_are_made(start: JobStatus, end: JobStatus) -> None:
    if end in TRANSITIONS[start]:
        assert job(start).moved(end).status is end
    else:
        with pytest.raises(ValueError, match=f"a {start} job cannot become {end}"):
            job(start).moved(end)


def test_every_state_has_its_moves_and_every_unfinished_job_can_end_each_way() -> None:
    assert set(TRANSITIONS) == set(JobStatus)
    for status in UNFINISHED:
        assert {JobStatus.FAILED, JobStatus.CANCELLED} <= TRANSITIONS[status]


def test_a_posted_job_stays_posted() -> None:
    assert not TRANSITIONS[JobStatus.POSTED]
