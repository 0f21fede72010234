"""The page in Chromium: every page and button, with script and without, by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from connector_proxy import outcomes
from connector_proxy.lookup import Criteria
from connector_proxy.records import State
from tests.browser.conftest import (
    ENDS,
    SCREENSHOTS,
    SECRET,
    Open,
    complained,
    event,
    log_in,
    screenshot,
)
from tests.conftest import Service
from tests.crashing import wait_until

PAGES = {
    "overview": "/ops",
    "deliveries": "/ops/deliveries",
    "stored-processes": "/ops/stored-processes",
    "configuration": "/ops/configuration",
    "audit": "/ops/audit",
}
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def one_of(service: Service, stp: str) -> str:
    """The address of the latest delivery of a stored process."""
    return f"/ops/deliveries/{service.deliveries.search(Criteria(stp=stp))[0].delivery_id}"


def every_page(page: Page, service: Service) -> Iterator[str]:
    """Opens each page after the other, with what can be opened on it; gives its name."""
    own = {name: one_of(service, stp) for name, stp in (("done", "Download File"), ("held", "Score Customers"), ("waiting", "Append Row"))}  # fmt: skip
    for name, path in {**PAGES, **{f"delivery-{key}": path for key, path in own.items()}}.items():
        page.goto(path)
        yield name


# -- going through ------------------------------------------------------------------------


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_somebody_goes_through_every_page_and_button(
    script: bool, open_page: Open, service: Service, complaints: list[str]
) -> None:
    page = open_page(java_script_enabled=script)
    page.goto("/ops")
    page.get_by_label("Secret").fill("a wrong one")
    with page.expect_response("**/ops/login") as refused:
        page.get_by_role("button", name="Log in").click()
    assert refused.value.status == 401
    complained(page, complaints, "status of 401")
    expect(page.get_by_role("alert")).to_have_text("This is not the secret.")
    log_in(page)
    for name in ("Deliveries", "Stored processes", "Configuration", "Audit trail", "Overview"):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        expect(page.locator("[aria-current=page]")).to_have_text(name)
    _narrows_down(page)
    _replays(page, service)
    _resolves(page)
    _cancels(page)
    _pauses_and_resumes(page)
    page.get_by_role("link", name="Audit trail").click()
    expect(page.locator("tbody tr")).to_have_count(5 + 3)
    page.get_by_role("button", name="Log out").click()
    page.goto("/ops/deliveries")
    expect(page.get_by_label("Secret")).to_be_visible()


def _narrows_down(page: Page) -> None:
    page.get_by_role("link", name="Deliveries").click()
    page.get_by_role("link", name=re.compile("held")).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="all").click()
    page.get_by_text("Narrow down").click()
    page.get_by_label("Stored process").fill("append row")
    page.get_by_label("Task, or a part of it").fill("basket")
    page.get_by_role("checkbox", name="waiting").check()
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Task, or a part of it")).to_have_value("basket")
    page.get_by_label("Task, or a part of it").fill("no such task")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("None matches.")).to_be_visible()
    page.get_by_role("link", name="all").click()
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("tbody tr")).to_have_count(50)


def _replays(page: Page, service: Service) -> None:
    page.goto(one_of(service, "Load Responses"))
    replay = page.locator("form", has=page.get_by_role("heading", name="Replay"))
    replay.get_by_label("Why").fill("the file was mended")
    replay.get_by_role("button").click()
    expect(page.locator("main > .notice:visible")).to_have_text("It is placed in the queue.")
    wait_until("it was tried", lambda: len(service.deliveries.show(page.url.rsplit("/")[-1]).attempts) == 2)  # fmt: skip
    page.reload()
    expect(page.locator(".story")).to_contain_text("replayed by page 127.0.0.1")
    expect(page.locator(".story")).to_contain_text("note: the file was mended")
    expect(page.locator(".story")).to_contain_text("round 2")


def _resolves(page: Page) -> None:
    page.goto("/ops/deliveries?state=held")
    page.locator("tbody a").click()
    resolve = page.locator("form", has=page.get_by_role("heading", name="Resolve"))
    resolve.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("held")  # it asks for an answer
    resolve.get_by_label("done").check()
    resolve.get_by_label("Why").fill("log of 08:16")
    resolve.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")


def _cancels(page: Page) -> None:
    page.goto("/ops/deliveries?state=waiting")
    page.locator("tbody a").click()
    cancel = page.locator("form", has=page.get_by_role("heading", name="Cancel"))
    cancel.get_by_label("Why").fill("wrong audience")
    cancel.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")


def _pauses_and_resumes(page: Page) -> None:
    page.get_by_role("link", name="Stored processes").click()
    page.get_by_role("link", name="14 days").click()
    page.get_by_text("Pause Append Row …").click()
    page.get_by_role("button", name="Pause Append Row").click()
    expect(page.locator("main > .notice:visible")).to_contain_text("Append Row is paused")
    page.get_by_role("navigation").get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Resume Append Row").click()
    expect(page.locator("main > .notice:visible")).to_contain_text("Append Row runs")


# -- for everybody ------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(
    scheme: str, open_page: Open, service: Service, complaints: list[str]
) -> None:
    page = open_page(color_scheme=scheme)
    page.goto("/ops/login")
    found = {"login": Axe().run(page)}
    log_in(page)
    for name in every_page(page, service):
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        found[name] = Axe().run(page)
    page.goto("/ops/deliveries/ffff")
    found["error"] = Axe().run(page)
    complained(page, complaints, "status of 404")
    faults = {name: one.generate_report() for name, one in found.items() if one.violations_count}
    assert not faults, "\n".join(faults.values())


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_its_window(
    scheme: str, width: int, open_page: Open, service: Service
) -> None:
    """And is kept as a picture below build/screenshots."""
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/ops/login")
    screenshot(page, f"login-{scheme}-{width}")
    log_in(page)
    for name in every_page(page, service):
        screenshot(page, f"{name}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_a_glance_is_enough(open_page: Open, service: Service) -> None:
    """The pictures of the README: what counts is seen without scrolling."""
    page = open_page(viewport={"width": 1200, "height": 900})
    log_in(page)
    for seen in (".headline", ".tile:last-child", "figure >> nth=0", "figure >> nth=1"):
        expect(page.locator(seen)).to_be_in_viewport(ratio=1)
    page.screenshot(path=SCREENSHOTS / "readme-overview.png")
    page.set_viewport_size({"width": 1200, "height": 940})
    page.goto(one_of(service, "Score Customers"))
    for seen in (".headline", ".story li:last-child >> nth=0", ".decision >> nth=0"):
        expect(page.locator(seen)).to_be_in_viewport(ratio=0.9)
    page.screenshot(path=SCREENSHOTS / "readme-delivery.png")


def test_the_keyboard_is_enough(open_page: Open, service: Service) -> None:
    page = open_page()
    page.goto("/ops")
    expect(page.get_by_label("Secret")).to_be_focused()
    page.keyboard.type(SECRET)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.goto(one_of(service, "Score Customers"))
    page.get_by_role("radio", name="refused").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("not in the log")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("refused")


def test_what_has_the_focus_is_seen(open_page: Open, service: Service) -> None:
    page = log_in(open_page())
    page.goto(one_of(service, "Score Customers"))
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        kind, width = page.evaluate(
            "[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineWidth]"
        )
        if kind != "BODY":
            assert width != "0px", kind
            seen.add(kind)
    assert {"A", "BUTTON", "INPUT", "SUMMARY"} <= seen


# -- live ---------------------------------------------------------------------------------


def test_a_page_refreshes_itself_and_leaves_alone_what_somebody_does(
    open_page: Open, service: Service
) -> None:
    page = log_in(open_page())
    page.goto(one_of(service, "Append Row"))
    page.get_by_label("Why").first.fill("still thinking")
    page.get_by_text("Payload", exact=True).click()
    ENDS["Append Row"], before = outcomes.done(200), ENDS["Append Row"]
    try:
        one = page.url.rsplit("/")[-1]
        wait_until("it is done", lambda: service.deliveries.show(one).state is State.DONE)
    finally:
        ENDS["Append Row"] = before
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    expect(page.locator(".story")).to_contain_text("attempt 2: done")
    expect(page.get_by_label("Why").first).to_have_value("still thinking")
    expect(page.locator("#payload")).to_have_attribute("open", "")
    page.goto("/ops/deliveries")
    page.get_by_text("Narrow down").click()
    service.post(event("Load Responses", "A new one"))
    expect(page.locator("tbody tr").first).to_contain_text("A new one")
    expect(page.locator("#filter")).to_have_attribute("open", "")


def test_refreshing_can_be_stopped(open_page: Open, service: Service) -> None:
    page = log_in(open_page())
    page.goto("/ops/deliveries")
    page.get_by_role("button", name="Live").click()
    service.post(event("Load Responses", "A new one"))
    page.wait_for_timeout(6000)
    expect(page.locator("tbody tr").first).not_to_contain_text("A new one")
    page.reload()
    expect(page.get_by_role("button", name="Still")).to_be_visible()
    page.get_by_role("button", name="Still").click()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")


def test_who_is_logged_out_meanwhile_is_told(open_page: Open, service: Service) -> None:
    page = log_in(open_page())
    page.context.clear_cookies()
    expect(page.locator("#stale")).to_contain_text("You are logged out")
    expect(page.get_by_role("button", name="Still")).to_be_visible()


# -- nobody's words are a program ----------------------------------------------------------


def test_markup_in_the_name_of_a_task_is_only_text(open_page: Open, service: Service) -> None:
    service.post(event("Load Responses", MARKUP))
    page = log_in(open_page())
    page.goto("/ops/deliveries")
    link = page.get_by_role("link", name=MARKUP)
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(MARKUP)


def test_a_page_of_another_site_cannot_show_or_change_anything(
    open_page: Open, service: Service, complaints: list[str]
) -> None:
    page = log_in(open_page())
    held = one_of(service, "Score Customers")
    page.set_content(
        '<link rel="icon" href="/ops/static/icon.svg">'  # else a browser may ask for favicon.ico
        f'<form method="post" action="{service.url}{held}/cancel"><input name="note" value="x">'
        "<button>Win a prize</button></form>"
    )
    page.get_by_role("button", name="Win a prize").click()
    expect(page.get_by_text("not asked for by a page of this session")).to_be_visible()
    complained(page, complaints, "status of 403")
    assert service.deliveries.show(held.rsplit("/")[-1]).state is State.HELD
    assert service.deliveries.changes(delivery_id=held.rsplit("/")[-1]) == []
