"""A browser without a screen: keeps cookies, reads the token of the forms, and knows no script."""

from __future__ import annotations

from typing import Any

import requests
from lxml import html

from connector_proxy import outcomes
from connector_proxy.records import Outcome
from tests.conftest import Service
from tests.crashing import ServiceProcess

SECRET = "correct horse battery staple"
ENDS: dict[str, Outcome] = {
    "Done": outcomes.done(200, {"rows": 3}),
    "Refused": outcomes.credentials(401, "401", "the words of the other side"),
    "Held": outcomes.unknown(0, "no answer"),
    "Waiting": outcomes.unreachable(0, "connection refused"),
}
"""What a stub says for each stored process."""


class Page:
    """A page as it came: its text, its status, and its elements."""

    def __init__(self, answer: requests.Response) -> None:
        self.answer = answer
        self.status = answer.status_code
        self.tree = html.fromstring(answer.text)
        self.text = " ".join(self.tree.text_content().split())

    def all(self, css: str) -> list[Any]:
        """The elements that a selector finds."""
        found: list[Any] = self.tree.cssselect(css)
        return found

    def one(self, css: str) -> Any:
        """The only one."""
        (found,) = self.all(css)
        return found


class Browser:
    """Somebody at the page of a service."""

    def __init__(self, service: Service | ServiceProcess, secret: str = SECRET) -> None:
        self.url = service.url
        self.http = requests.Session()
        self.secret = secret

    def log_in(self) -> Page:
        """Send the secret with the form."""
        return self.send("/ops/login", secret=self.secret)

    def open(self, path: str, **query: Any) -> Page:
        """Load a page."""
        return Page(self.http.get(self.url + path, params=query, timeout=30))

    def send(self, path: str, **fields: Any) -> Page:
        """Send a form as it is given."""
        return Page(self.http.post(self.url + path, data=fields, timeout=30))

    def fill(self, page: Page, action: str, **fields: Any) -> Page:
        """Send the form of ``page`` whose action ends so, with what stands in it."""
        (form,) = (one for one in page.tree.forms if one.action.endswith(action))
        given = {name: value for name, value in form.form_values() if name not in fields}
        return self.send(form.action, **given, **fields)

    @property
    def token(self) -> str:
        """That of the forms of this session."""
        found: str = self.open("/ops/configuration").one("input[name=token]").get("value")
        return found
