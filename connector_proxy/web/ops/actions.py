"""What somebody does on the page: each changes something and leads back to a page that says what
became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for

from connector_proxy.desk import Desk
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.intake import destination_issue
from connector_proxy.web import asked
from connector_proxy.web.access import Caller, may_call
from connector_proxy.web.ops.guard import OpsGuard, decision
from connector_proxy.web.ops.words import plural

Result = TypeVar("Result")


class Actions:
    """Views over the operations of a ``Desk``."""

    def __init__(self, desk: Desk, guard: OpsGuard) -> None:
        self._deliveries = desk.deliveries
        self._guard = guard

    @may_call(Caller.NEAR)
    def login(self) -> Response:
        """The form that asks for the secret, and what becomes of it."""
        if request.method == "POST" and self._guard.has_secret:
            answer = make_response(redirect(url_for("ops.overview"), 303))
            self._guard.log_in(answer)
            return answer
        page = render_template("login.html", has_secret=self._guard.has_secret, issue="")
        return make_response(page, 200 if self._guard.has_secret else 403)

    @may_call(Caller.PAGE)
    def logout(self) -> Response:
        """Close the session."""
        answer = make_response(redirect(url_for("ops.login"), 303))
        self._guard.log_out(answer)
        return answer

    @may_call(Caller.PAGE)
    def replay(self, delivery_id: str) -> Response:
        """Carry a delivery out again."""
        return self._decided(
            delivery_id,
            lambda: self._deliveries.replay(delivery_id, decision(asked.note(request.form))),
            "It is placed in the queue.",
        )

    @may_call(Caller.PAGE)
    def resolve(self, delivery_id: str) -> Response:
        """End a held delivery as somebody found out."""
        outcome = asked.found_out(request.form)
        return self._decided(
            delivery_id,
            lambda: self._deliveries.resolve(
                delivery_id, outcome, decision(asked.note(request.form))
            ),
            f"It is {outcome}.",
        )

    @may_call(Caller.PAGE)
    def cancel(self, delivery_id: str) -> Response:
        """End a delivery that waits or is held."""
        return self._decided(
            delivery_id,
            lambda: self._deliveries.cancel(delivery_id, decision(asked.note(request.form))),
            "It is cancelled.",
        )

    def _decided(self, delivery_id: str, deed: Callable[[], object], done: str) -> Response:
        _do(deed, lambda _: done)
        return make_response(redirect(url_for("ops.delivery", delivery_id=delivery_id), 303))

    @may_call(Caller.PAGE)
    def pause(self) -> Response:
        """Let the deliveries of a stored process wait."""
        stp = _stp()
        return self._paused(
            lambda: self._deliveries.pause(stp, decision(asked.note(request.form))),
            lambda count: f"{stp} is paused; {plural(count, 'delivery', 'deliveries')} waiting.",
        )

    @may_call(Caller.PAGE)
    def resume(self) -> Response:
        """Let a stored process run again."""
        stp = _stp()
        return self._paused(
            lambda: self._deliveries.resume(stp, decision(asked.note(request.form))),
            lambda count: f"{stp} runs; {plural(count, 'delivery', 'deliveries')} going on.",
        )

    def _paused(self, deed: Callable[[], int], words: Callable[[int], str]) -> Response:
        _do(deed, words)
        back = "overview" if request.form.get("back") == "overview" else "stored_processes"
        return make_response(redirect(url_for(f"ops.{back}"), 303))


def _stp() -> str:
    stp = request.form.get("stp", "")
    if issue := destination_issue(stp):
        asked.wrong("stp", issue)
    return stp


def _do(deed: Callable[[], Result], words: Callable[[Result], str]) -> None:
    """Let the next page show what became of a deed, or why it was not possible."""
    try:
        g.session.say(words(deed()))
    except ConnectorProxyError as error:
        g.session.say(f"{error} {error.advice}", failed=True)


def add(blueprint: Blueprint, desk: Desk, guard: OpsGuard) -> None:
    """Add the actions to ``blueprint``."""
    actions = Actions(desk, guard)
    blueprint.add_url_rule("/login", view_func=actions.login, methods=["GET", "POST"])
    for rule, view in (
        ("/logout", actions.logout),
        ("/deliveries/<delivery_id>/replay", actions.replay),
        ("/deliveries/<delivery_id>/resolve", actions.resolve),
        ("/deliveries/<delivery_id>/cancel", actions.cancel),
        ("/stored-processes/pause", actions.pause),
        ("/stored-processes/resume", actions.resume),
    ):
        blueprint.add_url_rule(rule, view_func=view, methods=["POST"])
