"""Pictures of every page of a demo, light and dark, and on a phone: `make screenshots`."""

import re
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from support.processes import Program

ROOT = Path(__file__).parents[2]
OUT = ROOT / "screenshots"
# What the README shows.
SHOWN = {"board-light": "board.png", "task-dark": "task.png"}
PAGES = ["board", "list", "jobs", "inbox", "settings", "admin", "graphiql"]


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Program(Path(folder) / "data", "up", "--demo") as program:
        told = "".join(program.output)
        password = re.search(r"password (\S+),", told)
        email = re.search(r"\S+@example\.org", told)
        assert password, told
        assert email, told
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                desk = {"width": 1400, "height": 860}
                take_all(browser, program.address, email[0], password[1], scheme, scheme, viewport=desk)
            phone = {"width": 390, "height": 780}
            take_all(browser, program.address, email[0], password[1], "light", "phone", viewport=phone, is_mobile=True)
            browser.close()
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    for name, shown in SHOWN.items():
        shutil.copy(OUT / f"{name}.png", images / shown)


def take_all(
    browser: Browser, address: str, email: str, password: str, scheme: str, suffix: str, **settings: object
) -> None:
    context = browser.new_context(color_scheme=scheme, locale="en-GB", **settings)  # type: ignore[arg-type]
    page = context.new_page()

    def take(name: str) -> None:
        page.wait_for_timeout(900)
        page.screenshot(path=OUT / f"{name}-{suffix}.png")

    page.goto(f"{address}/app/")
    take("sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").first.click()
    page.get_by_role("heading", name="Board").wait_for()
    for name in PAGES:
        page.goto(f"{address}/app/{name}")
        if name == "admin":
            page.wait_for_timeout(4_000)
        take(name)
    a_task(page, address)
    take("task")
    page.goto(f"{address}/app/board")
    page.locator("article").first.wait_for()
    page.keyboard.press("c")
    take("create")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("or", delay=60)
    take("palette")
    context.close()


def a_task(page: Page, address: str) -> None:
    """One with a story to tell."""
    page.goto(f"{address}/app/list?q=order")
    page.get_by_role("link", name="Refund").click()


if __name__ == "__main__":
    main()
