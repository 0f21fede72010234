"""The pages: each looks, and none changes anything."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, render_template, request
from werkzeug.exceptions import NotFound

from connector_proxy import __version__, configuration
from connector_proxy.addresses import section_of
from connector_proxy.desk import Desk
from connector_proxy.lookup import Criteria
from connector_proxy.records import State
from connector_proxy.timeline import timeline
from connector_proxy.web import asked
from connector_proxy.web.access import Caller, may_call
from connector_proxy.web.ops import chart

_A_PAGE = 50
_CANCELLED_FROM = (State.WAITING, State.HELD)
_MAY_HAVE_RUN = (State.DONE, State.HELD, State.CANCELLED)


class Pages:
    """Views over a ``Desk``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @may_call(Caller.PAGE)
    def overview(self) -> str:
        """How things stand, at a glance."""
        now = _now()
        found = self._desk.overview(now)
        charts = {span: chart.flow(bars) for span, bars in found.flow.items()}
        return self._page("overview.html", found=found, charts=charts, now=now)

    @may_call(Caller.PAGE)
    def deliveries(self) -> str:
        """Deliveries, the latest first, narrowed down by a query."""
        criteria = asked.criteria(request.args)
        known = self._desk.deliveries
        found = known.search(criteria, limit=_A_PAGE + 1, after=asked.after(request.args))
        shown, more = found[:_A_PAGE], found[_A_PAGE:]
        older = _with(after=asked.place(shown[-1])) if more else ""
        return self._page(
            "deliveries.html",
            found=shown,
            older=older,
            newest=_with(after="") if request.args.get("after") else "",
            counts=known.counts(),
            criteria=criteria,
            asked=criteria != Criteria(),
            narrowed=replace(criteria, states=()) != Criteria(),
            now=_now(),
        )

    @may_call(Caller.PAGE)
    def delivery(self, delivery_id: str) -> str:
        """One delivery: its story, its content, its dataset, and what can be decided."""
        told = self._desk.told(delivery_id)
        one, contents = told.delivery, self._desk.contents
        content = contents.of(one)
        return self._page(
            "delivery.html",
            one=one,
            steps=timeline(one, told.changes),
            content=content,
            payload=json.dumps(content.payload, indent=2, ensure_ascii=False) if content else "",
            dataset=contents.dataset(one),
            cancellable=one.state in _CANCELLED_FROM,
            may_have_run=one.state in _MAY_HAVE_RUN,
            showdata=self._desk.settings.showdata,
            now=_now(),
        )

    @may_call(Caller.PAGE)
    def stored_processes(self) -> str:
        """How the attempts of each stored process went."""
        now, span = _now(), asked.span(request.args)
        found = self._desk.stored_processes(now, span)
        charts = {
            one.stp_name: chart.durations(one.course, span, now) for one in found if one.course
        }
        return self._page("stored_processes.html", found=found, charts=charts, span=span, now=now)

    @may_call(Caller.PAGE)
    def configuration(self) -> str:
        """What is in force, and where it came from."""
        settings = self._desk.settings
        return self._page(
            "configuration.html",
            conf=settings.conf,
            settings=configuration.effective(settings),
            overridden=configuration.overridden(settings),
            section_of=section_of,
            notes=settings.notes,
        )

    @may_call(Caller.PAGE)
    def audit(self) -> str:
        """What administrators changed."""
        known = self._desk.deliveries
        found = known.changes(before=asked.before(request.args), limit=_A_PAGE + 1)
        shown, more = found[:_A_PAGE], found[_A_PAGE:]
        older = _with(before=str(shown[-1].number)) if more else ""
        return self._page("audit.html", found=shown, older=older)

    @may_call(Caller.PAGE)
    def nothing(self, rest: str) -> str:
        """Any other address below the page."""
        raise NotFound

    def _page(self, template: str, **values: Any) -> str:
        notice, failed = g.session.said()
        return render_template(
            template,
            **values,
            State=State,
            notice=notice,
            failed=failed,
            token=g.session.form_token,
            instance=self._desk.settings.instance,
            version=__version__,
            made=_now(),
        )


def _now() -> datetime:
    return datetime.now().astimezone()


def _with(**changed: str) -> str:
    """The address of this page with a changed query."""
    query = {**request.args.to_dict(flat=False), **changed}
    left = urlencode({name: value for name, value in query.items() if value}, doseq=True)
    return f"{request.script_root}{request.path}?{left}"


def add(blueprint: Blueprint, desk: Desk) -> None:
    """Add the pages to ``blueprint``."""
    pages = Pages(desk)
    for rule, view in (
        ("", pages.overview),
        ("/deliveries", pages.deliveries),
        ("/deliveries/<delivery_id>", pages.delivery),
        ("/stored-processes", pages.stored_processes),
        ("/configuration", pages.configuration),
        ("/audit", pages.audit),
        ("/<path:rest>", pages.nothing),
    ):
        blueprint.add_url_rule(rule, view_func=view)
