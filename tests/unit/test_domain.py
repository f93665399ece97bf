"""Decisions, without any engine."""

from random import Random

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from support import make
from tasktide.domain import access, audience, events, fields, ids, paging, rates, retry, tasks, text, times
from tasktide.domain.access import Action
from tasktide.domain.errors import Conflict, Forbidden, Invalid
from tasktide.domain.fields import TaskFields, TaskLimits
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel, Kind, merged_preferences
from tasktide.domain.paging import Cursor
from tasktide.domain.tasks import TRANSITIONS, Status
from tasktide.domain.times import Timestamp
from tasktide.domain.users import check_registration

LIMITS = TaskLimits()


def test_ids_are_positive_and_exact_in_json() -> None:
    assert [ids.parse(word) for word in ("1", "9007199254740991")] == [1, 2**53 - 1]
    for word in ("0", "-1", "", "x", "1.0", "٣", "007", "9007199254740992", "1" * 400, " 1", "1e3"):
        assert ids.parse(word) is None, word


@given(millis=st.integers(0, 250_000_000_000_000))
def test_time_goes_to_text_and_back_and_keeps_its_order(millis: int) -> None:
    made = times.at(millis)
    assert times.epoch_ms(made) == millis
    assert times.parse(made) == made
    assert (times.at(millis + 1) > made) is True
    assert len(made) == 24


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("2026-12-01T10:00:00+01:00", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01t10:00:00z", "2026-12-01T10:00:00.000Z"),
        ("2026-12-01T10:00:00.123456Z", "2026-12-01T10:00:00.123Z"),
    ],
)
def test_times_are_brought_to_one_form(given_text: str, expected: str) -> None:
    assert times.parse(given_text) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "2026-12-01",
        "2026-12-01T10:00:00",
        "2026-02-30T10:00:00Z",
        "0001-01-01T00:00:00+23:00",
        "20261201T100000Z",
        "2026-W49-2T10:00:00Z",
    ],
)
def test_times_that_are_none(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        times.parse(wrong)


@pytest.mark.parametrize("before", list(Status))
@pytest.mark.parametrize("after", list(Status))
def test_transitions(before: Status, after: Status) -> None:
    task = make.task(1, status=before)
    if before is after or after in TRANSITIONS[before]:
        edited = tasks.edit(task, {"status": after}, make.FAR)
        assert edited.status is after
        assert (edited.finished_at is not None) is (not after.is_open and before is not after)
    else:
        with pytest.raises(Conflict):
            tasks.edit(task, {"status": after}, make.FAR)


def test_workers_alone_move_jobs() -> None:
    job = make.task(1, handler="reverse")
    with pytest.raises(Conflict):
        tasks.edit(job, {"status": Status.DONE}, make.NOW)
    with pytest.raises(Conflict):
        tasks.edit(tasks.start(job, make.NOW), {"payload": Raw(b"2")}, make.NOW)
    assert bytes(tasks.edit(job, {"payload": Raw(b"2")}, make.NOW).payload) == b"2"
    assert tasks.edit(tasks.start(job, make.NOW), {"title": "x"}, make.NOW).title == "x"


def test_a_version_grows_and_time_does_not_run_back() -> None:
    task = make.task(1, updated_at=make.FAR)
    edited = tasks.edit(task, {"title": "x"}, make.NOW)
    assert (edited.version, edited.updated_at) == (2, make.FAR)


def check(body: str) -> dict[str, object]:
    return fields.completed(fields.checked(msgspec.json.decode(body, type=fields.NewTask), LIMITS))


def wrong_fields(body: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        check(body)
    return [error.field for error in caught.value.errors]


def test_all_wrong_fields_are_named_at_once() -> None:
    body = """{"title": "a\\u0007", "description": "\\u0000", "priority": 10, "labels": ["ok", "", "x\\ny"],
        "performer_id": 0, "observer_ids": [1, -1], "due_at": "tomorrow", "handler": "", "max_attempts": 0}"""
    assert wrong_fields(body) == [
        "title", "description", "priority", "labels[1]", "labels[2]", "performer_id", "observer_ids[1]", "due_at",
        "handler", "max_attempts",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "title"),
        ('{"payload": null}', "title"),
        ('{"title": "   "}', "title"),
        ('{"title": "%s"}' % ("x" * 501), "title"),
        ('{"title": "x", "description": "%s"}' % ("x" * 20_001), "description"),
        ('{"title": "x", "labels": [%s]}' % ",".join(f'"{n}"' for n in range(21)), "labels"),
        ('{"title": "x", "observer_ids": %s}' % list(range(1, 102)), "observer_ids"),
        ('{"payload": "%s"}' % ("x" * 65_535), "payload"),
        ('{"payload": %s}' % ("[" * 101 + "]" * 101), "payload"),
        ('{"payload": 1e999}', "payload"),
        ('{"payload": 1, "status": "done"}', "status"),
    ],
)
def test_limits_of_a_task(body: str, field: str) -> None:
    assert wrong_fields(body) == [field]


def test_what_is_just_within_the_limits() -> None:
    assert check('{"title": "%s", "labels": ["a", "a"]}' % ("x" * 500))["labels"] == ("a",)
    assert check('{"payload": %s}' % ("[" * 100 + "]" * 100))["handler"] == "reverse"
    assert check('{"payload": {"a": "%s"}}' % ("[{" * 200))["title"] == "reverse"
    assert check('{"title": "x", "description": "a\\nb\\tc"}')["description"] == "a\nb\tc"


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_depth_is_what_building_it_would_show(value: object) -> None:
    def real(one: object) -> int:
        inner = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max((real(part) for part in inner), default=0)

    assert fields.depth(msgspec.json.encode(value)) == real(value)


def test_put_sets_defaults_and_leaves_a_jobs_status_alone() -> None:
    task = make.task(1, status=Status.DONE, priority=7, labels=("a",))
    values = fields.replaced(fields.checked(TaskFields(title="New"), LIMITS), task)
    edited = tasks.edit(task, values, make.NOW)
    assert (edited.title, edited.status, edited.priority, edited.labels) == ("New", Status.PENDING, 0, ())
    with pytest.raises(Invalid):
        fields.replaced({}, task)


def told(event: events.TaskEvent) -> dict[int, Kind]:
    return {plan.user_id: plan.kind for plan in audience.plan(event)}


def test_everyone_concerned_is_told_once_but_not_the_one_who_acted() -> None:
    task = make.task(1, creator_id=1, performer_id=2, observer_ids=(2, 3, 1))
    created = events.created(task, "user:1", None)
    assert told(created) == {2: Kind.ASSIGNED, 3: Kind.CREATED}
    done = tasks.edit(task, {"status": Status.DONE}, make.NOW)
    assert told(events.changed(task, done, "user:2")) == {1: Kind.COMPLETED, 3: Kind.COMPLETED}
    moved = tasks.edit(task, {"performer_id": UserId(4)}, make.NOW)
    assert told(events.changed(task, moved, "user:1")) == {4: Kind.ASSIGNED, 2: Kind.UPDATED, 3: Kind.UPDATED}
    both = tasks.edit(task, {"performer_id": UserId(4), "status": Status.IN_PROGRESS}, make.NOW)
    assert told(events.changed(task, both, "user:1"))[4] is Kind.ASSIGNED
    assert told(events.deleted(task, "user:1", make.NOW)) == {2: Kind.DELETED, 3: Kind.DELETED}


def test_progress_of_a_job_calls_nobody_and_its_end_does() -> None:
    job = make.task(1, handler="x", max_attempts=2)
    begun = tasks.start(job, make.NOW)
    waiting = tasks.fail(begun, "e", make.NOW, 1)
    assert told(events.changed(job, begun, events.WORKER)) == {}
    assert told(events.changed(begun, waiting, events.WORKER)) == {}
    last = tasks.fail(tasks.start(waiting, make.NOW), "e", make.NOW, 1)
    assert told(events.changed(begun, last, events.WORKER)) == {1: Kind.FAILED}


@given(titles=st.lists(st.sampled_from("abc"), max_size=6))
def test_the_live_law_snapshot_and_changes_give_the_next_snapshot(titles: list[str]) -> None:
    task = make.task(1)
    for title in titles:
        after = tasks.edit(task, {"title": title, "priority": len(title)}, make.NOW)
        event = events.decode("task.events", events.encode(events.changed(task, after, "user:1")))
        applied = {field: to for field, (_, to) in event.data.changes.items()}
        assert msgspec.structs.replace(task, **applied, version=after.version, updated_at=after.updated_at) == after
        assert event.id == f"1.{after.version}"
        task = after


def test_events_are_cloudevents() -> None:
    made = make.submission(make.task(5))
    plain = msgspec.json.decode(events.encode(made))
    assert {"specversion": "1.0", "type": "task.ingested", "id": "5.0", "subject": "task/5"}.items() <= plain.items()
    assert events.decode("task.ingested", events.encode(made)) == made


def test_who_may() -> None:
    task = make.task(1, creator_id=1, performer_id=2)
    carol = msgspec.structs.replace(make.BOB, user_id=UserId(3))
    access.check(make.BOB, Action.TASK_CHANGE, task)
    access.check(make.ADMIN, Action.TASK_DELETE, make.task(1, creator_id=9))
    for actor, action in ((carol, Action.TASK_CHANGE), (make.BOB, Action.TASK_DELETE), (carol, Action.NOTIFY)):
        with pytest.raises(Forbidden):
            access.check(actor, action, task)
    assert set(access.RULES) == set(Action)


@given(attempt=st.integers(1, 500), seed=st.integers())
def test_backoff_doubles_within_bounds(attempt: int, seed: int) -> None:
    delay = retry.backoff_s(attempt, Random(seed))
    full = min(retry.CAP_S, 2.0 ** (attempt - 1))
    assert full / 2 <= delay <= full


def test_deliveries_end_after_the_last_delay() -> None:
    delays = [retry.scheduled_s(attempt, Random(1), retry.MAIL_DELAYS_S) for attempt in range(1, 7)]
    assert delays[-1] is None
    for delay, least in zip(delays, (1, 5, 30, 120, 600), strict=False):
        assert delay is not None
        assert least <= delay <= least * 1.1


@given(value=st.text() | st.integers(), number=st.integers())
@example(value="\0", number=1)
def test_cursors_come_back_and_fit_their_order_alone(value: str | int, number: int) -> None:
    order = "-priority" if isinstance(value, int) else "due_at"
    cursor = Cursor(order, value, number)
    is_possible = "\0" not in value if isinstance(value, str) else abs(value) < 2**53
    if 0 <= number < 2**53 and is_possible:
        assert paging.decode(paging.encode(cursor), order) == cursor
    else:
        with pytest.raises(Invalid):
            paging.decode(paging.encode(cursor), order)
    with pytest.raises(Invalid):
        paging.decode(paging.encode(cursor), "other")


@given(st.text(max_size=40))
def test_no_text_is_a_cursor_by_chance_and_none_breaks(word: str) -> None:
    with pytest.raises(Invalid):
        paging.decode(word, "created_at")


def test_tiers() -> None:
    tiers = rates.parse_tiers("3/1s, 20/10s")
    assert rates.format_tiers(tiers) == "3/1s, 20/10s"
    for wrong in ("", "3", "3/1", "x/1s", "0/1s", "3/0s", "3/1s,"):
        with pytest.raises(ValueError, match=r".*"):
            rates.parse_tiers(wrong)


def test_preferences_name_what_is_unknown() -> None:
    whole = merged_preferences({"email": {"task.assigned": True}})
    assert whole[Channel.EMAIL][Kind.ASSIGNED]
    assert whole[Channel.INBOX][Kind.ASSIGNED]
    with pytest.raises(Invalid) as caught:
        merged_preferences({"pigeon": {}, "email": {"task.eaten": True}})
    assert [error.field for error in caught.value.errors] == ["pigeon", "email.task.eaten"]
    with pytest.raises(Invalid) as caught:
        merged_preferences({"inbox": {"message": False}, "email": {"message": True}})
    assert [error.field for error in caught.value.errors] == ["email.message"]


def test_registration_names_everything_wrong() -> None:
    assert check_registration(" Ann@Example.org ", "Ann", "12345678") == "ann@example.org"
    with pytest.raises(Invalid) as caught:
        check_registration("no", "", "short")
    assert [error.field for error in caught.value.errors] == ["email", "name", "password"]


def test_text_is_shortened_with_a_sign() -> None:
    assert text.shorten("abcdef", 6) == "abcdef"
    assert text.shorten("abcdefg", 6) == "abcde…"
    assert Timestamp("x") == "x"


def test_what_is_over_is_nobodys_to_do() -> None:
    done = make.task(1, performer_id=UserId(2), status=Status.DONE)
    [plan] = audience.plan(make.created(done))
    assert (plan.kind, plan.message) == (Kind.ASSIGNED, "“Task 1” is yours, and over already")
