"""The commands for the SAS side: write it out, compare it, check it. None needs SAS or a
configuration of the service."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import click

from connector_proxy.cli.common import end
from connector_proxy.errors import ConfigurationError
from connector_proxy.masking import printable
from connector_proxy.sascode import difference, folder, manual, plan, site
from connector_proxy.sascode.checks import check
from connector_proxy.sascode.plan import Deed, Planned

_copy = click.argument(
    "installed", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


@click.group("sas")
def sas() -> None:
    """Install the SAS side: the stored processes that run on your SAS server."""


@sas.command()
@click.option(
    "--to",
    "target",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; made where it does not exist.",
)
@click.option(
    "--root", metavar="FOLDER",
    help="The folder as the SAS server will see it, such as \"C:\\SAS Stored Process\" "
    "[default: that of the copy in DIR, else DIR itself].",
)  # fmt: skip
@click.option(
    "--encoding", type=click.Choice(["wlatin1", "utf-8"]),
    help="Encoding of the SAS sessions [default: wlatin1 for a root on Windows, else utf-8].",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Replace changed files without asking.")
def export(target: Path, root: str | None, encoding: str | None, yes: bool) -> None:
    """Write the SAS side to DIR, and say what remains to be done on the SAS server.

    Line ends are those of the root's system. conf/config.sas is kept as it is when it is there; of
    the other files those that differ are replaced after a question.
    """
    target = Path(os.path.normpath(target.absolute()))
    try:
        _refuse_the_source(target)
        present = folder.present(target) if target.exists() else {}
        root = plan.checked_root(root or _present_root(present) or str(target))
        files = list(
            plan.planned(folder.shipped(), present, root, encoding or site.default_encoding(root))
        )
        _ask(target, [one.file for one in files if one.deed is Deed.REPLACE], yes)
        _write(target, files)
    except ConfigurationError as error:
        end(error)
    except OSError as error:
        end(_unusable(target, error))
    _tell(target, files, present)
    click.echo("\nOn the SAS server:")
    for step in manual.steps(root, str(target)):
        click.echo(printable(step) if "\n" not in step else step)


def _refuse_the_source(target: Path) -> None:
    if target.exists() and target.samefile(folder.shipped_folder()):
        raise ConfigurationError(
            f"{target} is what is shipped; an export would change it.",
            advice="Name another folder; the next release comes to this one.",
        )


def _present_root(present: dict[str, bytes]) -> str:
    """The root folder of a copy that is there already."""
    roots = {root for raw in present.values() for root in site.roots(folder.text(raw))}
    return roots.pop() if len(roots) == 1 else ""


def _unusable(target: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{target} cannot be used ({error.strerror or type(error).__name__}).",
        advice="Name a folder that you may write to, and see that no file in it is open elsewhere.",
    )


def _ask(target: Path, replaced: list[str], yes: bool) -> None:
    if not replaced or yes:
        return
    click.echo(f"These files in {target} differ from what would be written:")
    for file in replaced:
        click.echo(f"  {file}")
    click.echo(f"connector-proxy sas diff {target} shows how.")
    click.confirm("Replace them?", abort=True)


def _write(target: Path, files: Iterable[Planned]) -> None:
    for one in files:
        if one.deed in (Deed.WRITE, Deed.REPLACE):
            folder.write(target, one.file, one.content)
    for name in folder.EMPTY_FOLDERS:
        (target / name).mkdir(parents=True, exist_ok=True)


def _tell(target: Path, files: Iterable[Planned], present: dict[str, bytes]) -> None:
    for one in files:
        click.echo(f"{one.deed:<9} {target / one.file}")
        if one.deed is Deed.KEEP:
            _tell_news(one, folder.text(present[one.file]))


def _tell_news(one: Planned, kept: str) -> None:
    news = plan.news(folder.text(one.content), kept)
    if news.missing:
        click.echo("  It lacks settings of this release; add these lines to it:")
    for setting in news.missing:
        click.echo(f"    {setting.comment}")
        click.echo(f"    %let {setting.name} = {setting.value};")
    for setting in news.unknown:
        click.echo(f"  line {setting.line}: {setting.name} is no setting any more; remove it")


@sas.command()
@_copy
def diff(installed: Path) -> None:
    """Show what an installed copy in DIR has changed against the shipped files.

    Line ends, encoding and root folder do not count. Ends with 0 when nothing but values of
    settings differs, with 1 when something else does, with 2 when there is no copy in DIR.
    """
    compared = list(difference.compare(folder.shipped(), _read(installed)))
    for one in compared:
        click.echo(f"{one.change:<9} {one.file}")
    for one in compared:
        for line in one.lines:
            click.echo(printable(line))
    if any(one.counts for one in compared):
        sys.exit(1)


@sas.command("check")
@_copy
def check_command(installed: Path) -> None:
    """Check an installed copy in DIR as far as that goes without SAS.

    Ends with 1 when something was found, with 2 when there is no copy in DIR.
    """
    files = _read(installed)
    findings = check(files, folder.shipped(), folder.widths())
    for advice, alike in groupby(findings, key=lambda one: one.advice):
        for one in alike:
            where = f"{one.file}:{one.line}" if one.line else one.file
            click.echo(printable(f"{where}: {one.message}"))
        click.echo(f"      {advice}")
    click.echo(f"{len(findings)} found" if findings else f"nothing was found in {len(files)} files")
    if findings:
        sys.exit(1)


def _read(installed: Path) -> dict[str, str]:
    """The copy in a folder; ends with 2 where there is none."""
    try:
        files = folder.texts(installed)
    except OSError as error:
        raise click.UsageError(f"{installed} cannot be read ({error.strerror}).") from None
    if not any(file.startswith("code/") for file in files):
        raise click.UsageError(
            f"{installed} holds no copy of the SAS side (no folder code). Name the folder that "
            "sas export wrote."
        )
    return files
