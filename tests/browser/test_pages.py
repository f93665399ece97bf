"""What people do in the browser, against a real server."""

import re
import time

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from browser.conftest import ROOT, Open
from support.processes import Program
from support.receiver import receiving
from support.server import PASSWORD, Person
from support.waiting import eventually

pytestmark = pytest.mark.acceptance

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
PAGES = ["board", "list", "jobs", "inbox", "settings"]


def card(page: Page, title: str) -> Locator:
    return page.get_by_role("button", name=title).and_(page.locator("article[data-card]"))


def column(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def drag(page: Page, what: Locator, to: Locator) -> None:
    start, end = what.bounding_box(), to.bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 30, start["y"] + 15)
    page.mouse.down()
    page.mouse.move(start["x"] + 60, start["y"] + 30, steps=4)
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + 120, steps=12)
    page.mouse.up()


def test_signing_up_writing_a_task_down_and_dragging_it(open_page: Open, program: Program, ann: Person) -> None:
    page = open_page(None, "/")
    page.get_by_role("button", name="Make an account").last.click()
    page.get_by_label("Name").fill("Nora New")
    page.get_by_label("Email").fill(f"nora{time.time_ns()}@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make an account").first.click()
    expect(page.get_by_role("heading", name="Board")).to_be_visible()

    page.get_by_role("button", name="New task c").click()
    page.get_by_label("Title").fill("Water the plants")
    page.get_by_label("Labels, comma separated").fill("garden, daily")
    page.get_by_role("button", name="Create task").click()
    expect(card(page, "Water the plants")).to_be_visible()
    drag(page, card(page, "Water the plants"), column(page, "In progress"))
    expect(column(page, "In progress").get_by_role("button", name="Water the plants")).to_be_visible()

    def stored() -> str:
        [task] = ann.http.get("/tasks", params={"q": "Water the plants"}).json()["items"]
        return str(task["status"])

    eventually(lambda: stored() == "in_progress")
    page.reload()
    expect(column(page, "In progress").get_by_role("button", name="Water the plants")).to_be_visible()
    cookies = {one["name"]: one for one in page.context.cookies()}
    assert cookies["tasktide_session"]["httpOnly"]
    assert page.evaluate("JSON.stringify(localStorage) + document.cookie") == "{}", "no token where scripts can read"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_password_says_so(open_page: Open, ann: Person) -> None:
    page = open_page(None)
    page.get_by_label("Email").fill(ann.email)
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").first.click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")


def test_a_card_dropped_where_it_must_not_go_comes_back(open_page: Open, ann: Person) -> None:
    task = ann.submit(title="Given up", performer_id=ann.id)
    ann.http.post(f"/tasks/{task['id']}/cancel")
    page = open_page(ann)
    drag(page, card(page, "Given up"), column(page, "Done"))
    expect(page.get_by_text("cannot be moved there").first).to_be_visible()
    expect(column(page, "Cancelled").get_by_role("button", name="Given up")).to_be_visible()


def test_a_refused_change_is_taken_back(open_page: Open, ann: Person, bob: Person) -> None:
    ann.submit(title="Only ann's")
    page = open_page(bob)
    drag(page, card(page, "Only ann's"), column(page, "Done"))
    expect(page.get_by_text("You may not change this task.").first).to_be_visible()
    expect(column(page, "To do").get_by_role("button", name="Only ann's")).to_be_visible()


def test_an_edit_that_somebody_was_ahead_of_asks_which_is_to_stay(open_page: Open, ann: Person, bob: Person) -> None:
    task = ann.submit(title="First", performer_id=bob.id)
    page = open_page(ann, f"/app/tasks/{task['id']}")
    title = page.get_by_label("Title")
    title.click()
    title.fill("Mine")
    bob.http.patch(f"/tasks/{task['id']}", json={"title": "Theirs"})
    expect(page.get_by_label("Activity")).to_contain_text("Theirs")
    expect(title).to_have_value("Mine")  # what one is typing stays
    title.press("Enter")
    conflict = page.get_by_role("alert")
    expect(conflict).to_contain_text("Theirs")
    expect(conflict).to_contain_text("Mine")
    assert ann.task(task["id"])["title"] == "Theirs"
    conflict.get_by_role("button", name="Keep mine").click()
    expect(conflict).to_be_hidden()
    eventually(lambda: ann.task(task["id"])["title"] == "Mine")


def test_labels_that_two_edit_at_once_are_all_kept(open_page: Open, ann: Person) -> None:
    task = ann.submit(title="labelled", labels=["old"])
    page = open_page(ann, f"/app/tasks/{task['id']}")
    labels = page.get_by_label("Labels, comma separated")
    expect(labels).to_have_value("old")
    labels.fill("old, mine")
    assert ann.http.patch(f"/tasks/{task['id']}", json={"labels": ["theirs"]}).status_code == 200
    page.wait_for_timeout(500)
    labels.press("Enter")
    expect(labels).to_have_value("mine, theirs")
    eventually(lambda: ann.task(task["id"])["labels"] == ["mine", "theirs"])
    labels.fill("given up")
    labels.press("Escape")
    expect(labels).to_have_value("mine, theirs")


def test_two_browsers_agree_within_a_second(open_page: Open, ann: Person, bob: Person) -> None:
    hers, his = open_page(ann), open_page(bob)
    expect(hers.get_by_text("Live", exact=True)).to_be_visible()
    expect(his.get_by_text("Live", exact=True)).to_be_visible()
    hers.wait_for_timeout(500)
    task = ann.submit(title="Seen by both", performer_id=bob.id)
    expect(card(his, "Seen by both")).to_be_visible(timeout=1_000)
    expect(card(hers, "Seen by both")).to_be_visible(timeout=1_000)
    drag(his, card(his, "Seen by both"), column(his, "Done"))
    expect(column(hers, "Done").get_by_role("button", name="Seen by both")).to_be_visible(timeout=1_500)
    ann.http.delete(f"/tasks/{task['id']}")
    expect(card(his, "Seen by both")).to_be_hidden(timeout=1_500)


def test_those_who_look_at_a_task_see_each_other(open_page: Open, ann: Person, bob: Person) -> None:
    task = ann.submit(title="Looked at")
    hers = open_page(ann, f"/app/tasks/{task['id']}")
    his = open_page(bob, f"/app/tasks/{task['id']}")
    expect(hers.get_by_text("Also here:")).to_be_visible()
    expect(his.get_by_text("Also here:")).to_be_visible()
    his.goto(his.url.replace(f"/tasks/{task['id']}", "/board"))
    expect(hers.get_by_text("Also here:")).to_be_hidden()


def test_the_inbox_counts_what_is_unread(open_page: Open, program: Program, ann: Person, bob: Person) -> None:
    page = open_page(bob, "/app/inbox")
    expect(page.get_by_text("All read")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.wait_for_timeout(300)
    for number in range(3):
        ann.submit(title=f"for bob {number}", performer_id=bob.id)
    expect(page.get_by_role("status", name="3 unread")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(3\) Inbox"))
    page.get_by_role("button", name="for bob 1").click()
    expect(page.get_by_label("Title")).to_have_value("for bob 1")
    expect(page.get_by_role("status", name="2 unread")).to_be_visible()
    page.reload()
    expect(page.get_by_role("status", name="2 unread")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{program.address}/app/inbox")
    expect(other.get_by_role("status", name="2 unread")).to_be_visible()
    page.get_by_role("link", name="Inbox").click()
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_text("All read")).to_be_visible()
    expect(other.get_by_text("All read")).to_be_visible()
    expect(page.get_by_role("status", name="unread")).to_be_hidden()
    # The page shows what it has asked for before it has an answer.
    eventually(lambda: bob.http.get("/notifications").json()["unread_count"] == 0)


def test_reading_the_inbox_by_keyboard_goes_on_where_it_was(open_page: Open, ann: Person, bob: Person) -> None:
    for number in range(3):
        ann.submit(title=f"to read {number}", performer_id=bob.id)
    page = open_page(bob, "/app/inbox")
    expect(page.get_by_role("status", name="3 unread")).to_be_visible()
    page.get_by_role("button", name="Mark as read").first.focus()
    for left in (2, 1):
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Mark as read")).to_have_count(left)
        expect(page.get_by_role("button", name="Mark as read").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("All read")).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    bob.http.post("/notifications/read-all")
    ann.submit(title="one more", performer_id=bob.id)
    page.get_by_role("button", name="Mark as read").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="one more")).to_be_focused()


def test_failed_jobs_are_retried_together(open_page: Open, ann: Person) -> None:
    jobs = [ann.submit(title=f"broken {n}", handler="fail", payload={}, max_attempts=1)["id"] for n in range(3)]
    for job in jobs:
        assert ann.finished(job)["status"] == "failed"
    page = open_page(ann, "/app/jobs?q=broken")
    for number in range(3):
        page.get_by_label(f"Select broken {number}").check()
    page.get_by_role("button", name="Retry 3").click()
    eventually(lambda: all(ann.task(job)["version"] >= 6 for job in jobs))
    page.get_by_role("link", name="broken 0").click()
    expect(page.get_by_role("region", name="Job")).to_contain_text("this handler always fails")


def test_the_server_is_killed_and_started_anew(open_page: Open, program: Program, ann: Person) -> None:
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    program.kill()
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    program.start()
    ann.submit(title="While nobody heard")
    expect(page.get_by_text("Connected again, and up to date.").first).to_be_visible(timeout=20_000)
    expect(card(page, "While nobody heard")).to_be_visible()
    ann.submit(title="And heard again")
    expect(card(page, "And heard again")).to_be_visible(timeout=2_000)


def test_what_could_not_be_loaded_is_there_when_the_server_is_back(
    open_page: Open, program: Program, ann: Person
) -> None:
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    # All pages are here, as they are soon after the first one.
    loaded = "performance.getEntriesByType('resource').some(one => /settings-/.test(one.name))"
    eventually(lambda: page.evaluate(loaded))
    program.kill()
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    failed = page.get_by_text("This could not be loaded")
    expect(failed.first).to_be_visible(timeout=20_000)
    program.start()
    expect(failed).to_have_count(0, timeout=20_000)
    expect(page.get_by_role("region", name="Notifications").get_by_role("checkbox").first).to_be_visible()


def test_an_admin_who_is_one_no_more_sees_it_when_they_come_back(open_page: Open, admin: Person, ann: Person) -> None:
    admin.http.patch(f"/users/{ann.id}", json={"role": "admin"})
    page = open_page(ann)
    expect(page.get_by_role("link", name="Admin")).to_be_visible()
    admin.http.patch(f"/users/{ann.id}", json={"role": "member"})
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("link", name="Admin")).to_be_hidden()
    expect(page.get_by_role("link", name="Board")).to_be_visible()


def test_everything_by_keyboard_alone(open_page: Open, ann: Person) -> None:
    page = open_page(ann)
    expect(page.get_by_role("heading", name="Board")).to_be_visible()
    keys = page.keyboard
    keys.press("c")
    expect(page.get_by_label("Title")).to_be_focused()
    keys.type("Typed alone")
    keys.press("Enter")
    expect(card(page, "Typed alone")).to_be_visible()
    card(page, "Typed alone").focus()
    keys.press("Shift+ArrowRight")
    expect(column(page, "In progress").get_by_role("button", name="Typed alone")).to_be_visible()
    card(page, "Typed alone").focus()
    keys.press("Enter")
    expect(page.get_by_label("Title")).to_have_value("Typed alone")
    keys.press("g")
    keys.press("l")
    expect(page.get_by_role("heading", name="List")).to_be_visible()
    keys.press("/")
    keys.type("Typed")
    expect(page).to_have_url(re.compile("q=Typed"))
    keys.press("Escape")
    row = page.get_by_role("link", name="Typed alone")
    row.focus()
    keys.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    keys.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    keys.press("Escape")
    for close in ("Escape", "Control+k"):
        row.focus()
        keys.press("Control+k")
        expect(page.get_by_placeholder("Find a task")).to_be_focused()
        keys.press(close)
        expect(row).to_be_focused()
    keys.press("Control+k")
    expect(page.get_by_placeholder("Find a task")).to_be_focused()
    keys.type("Settings")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()


def test_a_phone_shows_everything_without_scrolling_sideways(open_page: Open, ann: Person) -> None:
    ann.submit(title="On the phone: a title that is long enough to need more than one line of it", labels=["a"] * 1)
    phone = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
    for name in PAGES:
        page = open_page(ann, f"/app/{name}", **phone)
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        page.wait_for_timeout(300)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, (name, width)
        expect(page.get_by_role("button", name="New task").last).to_be_visible()


def test_dark_is_remembered(open_page: Open, ann: Person) -> None:
    page = open_page(ann, "/app/settings")
    page.get_by_role("radio", name="dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert open_page(ann, color_scheme="dark").evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Open, program: Program, ann: Person, scheme: str) -> None:
    late = "2026-01-01T00:00:00Z"
    ann.submit(title="Labelled", labels=["red"], priority=8, due_at=late, performer_id=ann.id, observer_ids=[ann.id])
    job = ann.submit(title="Failed job", handler="fail", payload={}, max_attempts=1)["id"]
    ann.finished(job)
    found = []
    for path in (*PAGES, f"tasks/{job}", "sign-in"):
        page = open_page(None if path == "sign-in" else ann, f"/app/{path}", color_scheme=scheme)
        page.wait_for_timeout(800)
        page.evaluate(AXE.read_text())
        violations = page.evaluate("axe.run().then((result) => result.violations)")
        found += [
            (path, one["id"], [node["html"][:150] for node in one["nodes"][:2]])
            for one in violations
            if one["impact"] in {"serious", "critical"}
        ]
    assert found == []


def test_a_board_of_thousands_keeps_few_cards(open_page: Open, ann: Person) -> None:
    batch = [{"title": f"many {n}", "labels": ["many"]} for n in range(3_000)]
    assert ann.http.post("/tasks/batch", json=batch).status_code == 202
    ann.http.get("/tasks")  # all stored
    page = open_page(ann, "/app/board?label=many")
    expect(column(page, "To do").get_by_role("heading")).to_contain_text("3,000")
    assert page.locator("article").count() < 60
    for _ in range(12):
        column(page, "To do").locator("ul").evaluate("list => list.parentElement.scrollBy(0, 4000)")
        page.wait_for_timeout(150)
    assert page.locator("article").count() < 60
    last = page.locator("article").last
    expect(last).to_be_visible()
    assert int((last.get_attribute("data-card") or "-0").rsplit("-", 1)[1]) > 150, "more was loaded on the way"


def test_a_first_visit_loads_little_and_is_soon_usable(open_page: Open, ann: Person) -> None:
    board = open_page(ann)
    expect(column(board, "To do")).to_be_visible()
    scripts = board.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js')).map((e) => e.encodedBodySize)"
    )
    assert 0 < sum(scripts) < 200_000, scripts


def counted(page: Page) -> dict[str, int]:
    heads = page.locator("section h2").all_inner_texts()
    return {name: int(number.replace(",", "")) for name, number in (head.split("\n") for head in heads)}


def test_counts_are_those_of_the_server_after_every_change(open_page: Open, ann: Person) -> None:
    label = f"counted{time.time_ns()}"
    tasks = [ann.submit(title=f"count {n}", labels=[label])["id"] for n in range(4)]
    page = open_page(ann, f"/app/board?label={label}")
    expect(column(page, "To do").get_by_role("heading")).to_contain_text("4")
    drag(page, card(page, "count 1"), column(page, "In progress"))
    expect(column(page, "In progress").get_by_role("button", name="count 1")).to_be_visible()
    ann.http.patch(f"/tasks/{tasks[2]}", json={"status": "done"})
    expect(column(page, "Done").get_by_role("button", name="count 2")).to_be_visible()
    ann.http.delete(f"/tasks/{tasks[3]}")
    expect(card(page, "count 3")).to_be_hidden()
    page.wait_for_timeout(1_500)
    assert counted(page) == {"To do": 1, "In progress": 1, "Done": 1, "Failed": 0, "Cancelled": 0}


def test_what_is_typed_survives_changes_of_other_fields_and_a_server_that_is_away(
    open_page: Open, program: Program, ann: Person, bob: Person
) -> None:
    task = ann.submit(title="Typed into", performer_id=bob.id)
    page = open_page(ann, f"/app/tasks/{task['id']}")
    text = page.get_by_label("Description")
    text.click()
    text.fill("Hours of thought")
    bob.http.patch(f"/tasks/{task['id']}", json={"priority": 7})
    expect(page.get_by_label("Priority")).to_have_value("7")
    text.blur()
    eventually(lambda: ann.task(task["id"])["description"] == "Hours of thought")
    expect(page.get_by_role("alert")).to_be_hidden()
    program.kill()
    text.fill("Hours more")
    text.blur()
    expect(page.get_by_text("cannot be reached").first).to_be_visible()
    expect(text).to_have_value("Hours more")
    program.start()
    expect(page.get_by_text("Connected again").first).to_be_visible(timeout=20_000)
    text.click()
    text.blur()
    eventually(lambda: ann.task(task["id"])["description"] == "Hours more")


def test_leaving_in_the_middle_of_typing_keeps_what_was_typed(open_page: Open, ann: Person) -> None:
    task = ann.submit(title="Left")
    page = open_page(ann)
    card(page, "Left").first.click()
    page.get_by_label("Description").fill("unfinished")
    page.go_back()
    expect(page.get_by_role("heading", name="Board")).to_be_visible()
    eventually(lambda: ann.task(task["id"])["description"] == "unfinished")


def test_a_storm_of_events_leaves_the_page_usable(open_page: Open, ann: Person) -> None:
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.wait_for_timeout(700)
    before = counted(page)["To do"]
    for _ in range(10):
        ann.http.post("/tasks/batch", json=[{"title": f"storm {n}"} for n in range(300)])
        page.wait_for_timeout(200)
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.get_by_role("link", name="Board").click()
    eventually(lambda: counted(page)["To do"] == before + 3_000)


def test_a_session_that_ended_while_away_leads_to_the_sign_in(open_page: Open, program: Program, ann: Person) -> None:
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    program.kill()
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    page.context.clear_cookies()
    program.start()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=20_000)


def test_a_swipe_scrolls_and_does_not_lift_a_card(open_page: Open, ann: Person) -> None:
    label = f"swipe{time.time_ns()}"
    ann.http.post("/tasks/batch", json=[{"title": f"swiped {n}", "labels": [label]} for n in range(40)])
    phone = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
    page = open_page(ann, f"/app/board?label={label}", **phone)
    expect(page.locator("article").nth(3)).to_be_visible()
    touch = page.context.new_cdp_session(page)

    def at(y: int) -> list[dict[str, int]]:
        return [{"x": 180, "y": y}]

    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at(600)})
    for y in range(580, 300, -40):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": at(y)})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(300)
    assert column(page, "To do").locator("ul").evaluate("list => list.parentElement.scrollTop") > 50
    assert {task["status"] for task in ann.http.get("/tasks", params={"label": label}).json()["items"]} == {"pending"}


def test_what_was_begun_is_there_again_and_what_is_refused_is_said(open_page: Open, ann: Person) -> None:
    task = ann.submit(title="Named by its title", priority=3)["id"]
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.keyboard.press("c")
    page.get_by_label("Title").fill("half of an idea")
    page.get_by_label("Labels, comma separated").fill("later")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("c")
    expect(page.get_by_label("Title")).to_have_value("half of an idea")
    expect(page.get_by_label("Labels, comma separated")).to_have_value("later")
    page.get_by_role("button", name="Create task").click()
    expect(page.get_by_text("“half of an idea” was created.", exact=True)).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_label("Title")).to_have_value("")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("ArrowDown")  # nothing has the focus: the first card takes it
    expect(page.locator("[data-card]:focus")).to_have_count(1)

    page.goto(f"{ann.address}/app/tasks/{task}")
    expect(page).to_have_title(re.compile("Named by its title · Tasktide$"))
    priority = page.get_by_label("Priority")
    priority.fill("17")
    priority.press("Enter")
    expect(page.get_by_text("Value must be less than or equal to 9.", exact=True)).to_be_visible()
    expect(priority).to_have_value("3")
    labels = page.get_by_label("Labels, comma separated")
    many = ", ".join(f"l{n}" for n in range(40))
    labels.fill(many)
    labels.press("Enter")
    expect(page.get_by_text(re.compile("^Labels "))).to_be_visible()
    expect(labels).to_have_value(many)  # to be mended, not typed anew
    expect(page.get_by_text("Not saved. Enter tries again, Escape gives up.")).to_be_visible()
    labels.press("Escape")
    expect(labels).to_have_value("")
    expect(page.get_by_text("Not saved.")).to_have_count(0)
    title = page.get_by_label("Title")
    title.fill("")
    title.press("Enter")
    expect(page.get_by_text("A task needs a title; it keeps the one it had.", exact=True)).to_be_visible()
    expect(title).to_have_value("Named by its title")


def test_what_was_begun_outlives_a_reload_and_is_made_once(open_page: Open, ann: Person) -> None:
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.keyboard.press("c")
    page.get_by_label("Title").fill("an idea to keep")
    page.reload()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_label("Title")).to_have_value("an idea to keep")

    # It arrives, and its answer does not: the window is loaded anew while it waits.
    def swallow(route: Route) -> None:
        if "createTask" in (route.request.post_data or ""):
            assert route.fetch().ok
        else:
            route.continue_()

    page.route("**/graphql", swallow)
    page.get_by_role("button", name="Create task").click()
    eventually(lambda: len(ann.http.get("/tasks", params={"q": "an idea to keep"}).json()["items"]) == 1)
    page.reload()
    page.unroute_all(behavior="ignoreErrors")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_label("Title")).to_have_value("an idea to keep")
    page.get_by_role("button", name="Create task").click()
    expect(page.get_by_text("“an idea to keep” was created.", exact=True)).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_label("Title")).to_have_value("")
    assert len(ann.http.get("/tasks", params={"q": "an idea to keep"}).json()["items"]) == 1


def test_all_of_the_inbox_has_an_address(open_page: Open, ann: Person) -> None:
    page = open_page(ann, "/app/inbox")
    page.get_by_role("button", name="All", exact=True).click()
    expect(page).to_have_url(re.compile(r"/app/inbox\?all=true$"))
    page.reload()
    expect(page.get_by_role("button", name="All", exact=True)).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.get_by_role("button", name="Unread")).to_have_attribute("aria-pressed", "true")


SLOW_CREATION = """() => {
  const real = window.fetch
  window.fetch = async (...given) => {
    if (String(given[1]?.body).includes('createTask')) await new Promise((resume) => setTimeout(resume, 1200))
    return real(...given)
  }
}"""


def test_what_was_written_is_kept_until_somebody_decides(open_page: Open, ann: Person) -> None:
    task = ann.submit(title="shared", description="as it was")["id"]
    page = open_page(ann, f"/app/tasks/{task}")
    page.get_by_label("Description").fill("mine, and long")
    ann.http.patch(f"/tasks/{task}", json={"description": "theirs"})
    page.get_by_role("link", name="List").click()
    expect(page.get_by_role("heading", name="List")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("while you were editing its description")).to_be_visible()
    expect(page.get_by_text("mine, and long")).to_be_visible()
    page.get_by_label("Title").fill("my title")
    ann.http.patch(f"/tasks/{task}", json={"title": "their title"})
    page.get_by_label("Title").press("Enter")
    expect(page.get_by_role("alert")).to_have_count(2)  # the second does not take the first one's place
    page.reload()
    expect(page.get_by_role("alert")).to_have_count(2)
    page.get_by_role("alert").filter(has_text="its description").get_by_role("button", name="Keep mine").click()
    eventually(lambda: ann.http.get(f"/tasks/{task}").json()["description"] == "mine, and long")
    page.get_by_role("alert").get_by_role("button", name="Keep what it is now").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Title")).to_have_value("their title")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_label("Description").fill("what nobody else has")
    ann.http.delete(f"/tasks/{task}")
    expect(page.get_by_text("There is no such task")).to_be_visible()
    expect(page.get_by_text("what nobody else has")).to_be_visible()


def test_the_new_task_dialog_loses_nothing_to_keys_and_late_answers(open_page: Open, ann: Person) -> None:
    page = open_page(ann)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.keyboard.press("c")
    page.get_by_label("Title").fill("the first")
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Title")).to_have_value("the first")
    page.evaluate(SLOW_CREATION)
    page.get_by_label("Title").press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.get_by_label("Title").fill("the second")
    expect(page.get_by_text("“the first” was created.", exact=True)).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("the second")
    page.keyboard.press("Escape")  # is for the dialog, whatever appeared after it
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_text("“the first” was created.", exact=True)).to_be_visible()


def test_a_reader_stays_where_they_are_when_tasks_come(open_page: Open, ann: Person) -> None:
    label = f"anchor{time.time_ns()}"

    def submit(count: int) -> None:
        ann.http.post("/tasks/batch", json=[{"title": f"row {n}", "labels": [label]} for n in range(count)])

    submit(90)
    page = open_page(ann, f"/app/list?label={label}")
    expect(page.get_by_text("90 tasks", exact=True)).to_be_visible()
    page.locator("[data-row='0']").hover()
    page.mouse.wheel(0, 1_200)
    row = page.get_by_role("link").filter(has_text=re.compile("row 50")).first
    expect(row).to_be_visible()
    page.wait_for_timeout(300)
    before = row.bounding_box()
    row.focus()
    submit(40)
    expect(page.get_by_text("130 tasks", exact=True)).to_be_visible()
    page.wait_for_timeout(300)
    after = row.bounding_box()
    assert before
    assert after
    assert abs(before["y"] - after["y"]) < 2
    assert page.evaluate("document.activeElement.textContent").find("row 50") > 0
    page.locator("[data-row] input").nth(3).click()
    page.keyboard.press("?")  # a box that has the focus is no text that is typed
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-row] input:focus")).to_have_count(1)


@pytest.mark.parametrize("count", [6, 60])
def test_no_task_comes_between_a_pointer_and_what_it_aims_at(open_page: Open, ann: Person, count: int) -> None:
    label = f"aim{time.time_ns()}"

    def submit(*titles: str) -> None:
        ann.http.post("/tasks/batch", json=[{"title": title, "labels": [label]} for title in titles])

    submit(*(f"row {n}" for n in range(count)))
    page = open_page(ann, f"/app/list?label={label}")
    expect(page.get_by_text(f"{count} tasks", exact=True)).to_be_visible()
    row = page.locator("[data-row='2']")
    title = row.inner_text()
    box = row.bounding_box()
    assert box
    at = box["x"] + 300, box["y"] + 20
    page.mouse.move(*at)
    moving = page.evaluate("""() => setInterval(() => document.querySelector('[data-row]').dispatchEvent(
        new PointerEvent('pointermove', { bubbles: true, pointerType: 'mouse' })), 50)""")
    for n in range(3):
        submit(f"late {n}")
        expect(page.get_by_text(f"{count + n + 1} tasks", exact=True)).to_be_visible()
        assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('[data-row]').innerText", at) == title
    # The pointer rests: what has come is shown.
    page.evaluate("(moving) => clearInterval(moving)", moving)
    expect(page.get_by_role("link").filter(has_text="late 2")).to_be_in_viewport()
    expect(page.locator("[data-row='0']")).to_contain_text("late 2")
    submit("late 3")
    expect(page.get_by_role("link").filter(has_text="late 3")).to_be_in_viewport()


def test_an_emptied_field_says_what_it_means(open_page: Open, ann: Person) -> None:
    task = ann.submit(title="Emptied", priority=4, due_at="2027-01-02T10:00:00Z")["id"]
    page = open_page(ann, f"/app/tasks/{task}")
    due = page.get_by_label("Due", exact=True)
    due.fill("")
    due.press("Enter")
    expect(page.get_by_role("button", name="No due date")).to_have_count(0)
    eventually(lambda: ann.task(task).get("due_at") is None)
    priority = page.get_by_label("Priority", exact=True)
    priority.fill("")
    priority.press("Enter")
    expect(page.get_by_text(re.compile("^Please fill (out|in) this field"))).to_be_visible()
    expect(priority).to_have_value("4")


def test_a_card_that_was_deleted_while_it_was_lifted_is_gone(open_page: Open, ann: Person) -> None:
    label = f"ghost{time.time_ns()}"
    task = ann.submit(title="a ghost", labels=[label])["id"]
    page = open_page(ann, f"/app/board?label={label}")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    box, aim = card(page, "a ghost").bounding_box(), column(page, "In progress").bounding_box()
    assert box
    assert aim
    page.mouse.move(box["x"] + 30, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 30, steps=4)
    ann.http.delete(f"/tasks/{task}")
    page.wait_for_timeout(1_500)
    page.mouse.move(aim["x"] + 60, aim["y"] + 120, steps=8)
    page.mouse.up()
    expect(card(page, "a ghost")).to_be_hidden()
    eventually(lambda: set(counted(page).values()) == {0})


def test_the_bar_of_those_selected_fits_a_phone(open_page: Open, ann: Person) -> None:
    ann.submit(title="on a phone")
    page = open_page(ann, "/app/list", viewport={"width": 390, "height": 780})
    page.locator("[data-row] input").first.click()
    delete = page.get_by_role("button", name="Delete", exact=True).bounding_box()
    assert delete
    assert delete["x"] + delete["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_webhook_is_set_tried_and_removed(open_page: Open, ann: Person) -> None:
    with receiving() as receiver:
        page = open_page(ann, "/app/settings")
        part = page.get_by_role("region", name="Webhook")
        address = part.get_by_label("Address")
        address.fill("https://10.0.0.1/")
        part.get_by_role("button", name="Save address").click()
        expect(part.get_by_role("alert")).to_contain_text("private network")
        expect(part.get_by_role("button", name="Send a test")).to_have_count(0)
        address.fill(receiver.url)
        part.get_by_role("button", name="Save address").click()
        secret = part.get_by_label("Secret").input_value()
        part.get_by_role("button", name="Send a test").click()
        expect(page.get_by_text("The receiver has taken it.", exact=True)).to_be_visible()
        assert [body["data"]["message"] for body in receiver.verified(secret)] == ["This is a test."]
        receiver.status = 500
        part.get_by_role("button", name="Send a test").click()
        expect(part.get_by_role("alert")).to_contain_text("500")
        receiver.status = 204

        page.get_by_label("A task becomes mine: webhook").click()
        eventually(lambda: ann.http.get("/notifications/preferences").json()["webhook"]["task.assigned"])
        matrix = ann.http.get("/notifications/preferences").json()
        assert not matrix["email"]["task.assigned"], "one box is one channel"
        page.reload()
        expect(address).to_have_value(receiver.url)
        expect(part.get_by_label("Secret")).to_have_count(0)
        page.get_by_label("A task becomes mine: inbox").click()
        expect(page.get_by_label("A task becomes mine: webhook")).not_to_be_checked()
        part.get_by_role("button", name="Remove").click()
        expect(part.get_by_role("button", name="Send a test")).to_have_count(0)
        assert ann.http.get("/notifications/webhook").status_code == 404
