"""The commands for files at hand: a data file becomes a dataset; datasets are listed and shown."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from connector_proxy import dataset
from connector_proxy.cli.common import conf_option, end, loaded
from connector_proxy.dataset import Made, Origin, Wanted, shelf
from connector_proxy.dataset.place import UNFINISHED, dataset_name
from connector_proxy.dataset.shelf import Manifest
from connector_proxy.errors import ConnectorProxyError, NotPossible, Unavailable
from connector_proxy.settings import Settings

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_FORMATS = ("parquet", "csv", "duckdb", "xpt", "table")
_SHOWN = 40
"""Characters of a value that ``head`` shows."""


class Progress:
    """A line on a terminal that tells how far the work is, its rate and the time left; nothing
    where the output goes elsewhere. ``size`` is that of the file in bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._shown = sys.stderr.isatty()
        self._what, self._since, self._last = "", 0.0, 0.0

    def tell(self, what: str, part: float) -> None:
        """What is done at the moment, and the part of it that is done."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._since = what, now
        if self._shown and part > 0 and now - self._last > 0.1:
            self._last = now
            click.echo(f"\r{self._line(part, now - self._since):<70}", nl=False, err=True)

    def _line(self, part: float, seconds: float) -> str:
        part = min(part, 1.0)
        bar = "#" * round(20 * part)
        rate = part * self._size / max(seconds, 0.001) / 1e6
        left = seconds / part - seconds
        return f"{self._what:<9}[{bar:<20}] {part:4.0%}  {rate:,.0f} MB/s  {left:.0f} s left"

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            click.echo(f"\r{'':<70}\r", nl=False, err=True)


@click.command()
@conf_option
@click.argument("data", type=_EXISTING)
@click.argument("metadata", type=_EXISTING)
@click.option("--format", "formats", multiple=True, type=click.Choice(_FORMATS))
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--name", default="", help="Name of the dataset [default: that of DATA].")
@click.option("--on-bad-row", type=click.Choice(["refuse", "reject"]))
@click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark, for Excel.")
def convert(
    conf: Path | None,
    data: Path,
    metadata: Path,
    formats: tuple[str, ...],
    to: Path | None,
    name: str,
    on_bad_row: str | None,
    bom: bool,
) -> None:
    """Make a dataset of the data file DATA and its METADATA file, as for a bulk task.

    What is not said here is as the configuration says; --format may stand several times.
    """
    settings = loaded(conf)
    wanted = Wanted.of(settings)
    wanted = replace(
        wanted,
        formats=formats or wanted.formats,
        on_bad_row=on_bad_row or wanted.on_bad_row,
        bom=bom or wanted.bom,
    )
    if "table" in wanted.formats and not wanted.table:
        end(NotPossible("There is no database to write to.", advice="Set datasettable."))
    origin = Origin(name or data.name.partition(".")[0], "")
    _see_that_nothing_is_overwritten(to or settings.outputfolder, origin, data, metadata)
    try:
        _convert(data, metadata, to or settings.outputfolder, origin, wanted)
    except ConnectorProxyError as error:
        end(error)
    except OSError as error:
        end(_unwritable(error))


def _see_that_nothing_is_overwritten(folder: Path, origin: Origin, *given: Path) -> None:
    stem = dataset_name(origin.task, origin.occurrence)
    for path in given:
        beside = path.resolve().parent == folder.resolve()
        if beside and path.name.partition(".")[0].removesuffix("_rejects") == stem:
            end(
                NotPossible(
                    f"{path.name} lies where the dataset would go, and could be overwritten.",
                    advice="Name another folder with --to, or another dataset with --name.",
                )
            )


def _convert(data: Path, metadata: Path, folder: Path, origin: Origin, wanted: Wanted) -> None:
    started, size = time.monotonic(), data.stat().st_size
    progress = Progress(size)
    columns = dataset.read_metadata(metadata.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as part:
        try:
            made = dataset.make(columns, data, folder, Path(part), origin, wanted, progress.tell)
        finally:
            progress.end()
    _say_what_was_made(made, folder, time.monotonic() - started, size)


def _say_what_was_made(made: Made, folder: Path, seconds: float, size: int) -> None:
    rate = size / max(seconds, 0.001) / 1e6
    click.echo(
        f"{made.rows:,} rows of {made.columns} columns, {made.rejected:,} rows rejected, "
        f"in {seconds:.1f} s ({rate:.0f} MB/s)"
    )
    for line in _file_lines(made.manifest, folder):
        click.echo(line)
    for column in made.manifest["columns"]:
        if note := column.get("note"):
            click.echo(f"column {column['name']} is {column['type']}: {note}")


def _unwritable(error: OSError) -> Unavailable:
    why = error.strerror or str(error)
    return Unavailable(f"The dataset cannot be written: {why}.", advice="Look at the folder.")


def _file_lines(manifest: Manifest, folder: Path) -> list[str]:
    lines = []
    for one in manifest["files"]:
        if one.get("table"):
            where = "" if one["format"] == "table" else f" in {folder / one['name']}"
            lines.append(f"{one['format']}: table {one['table']}{where}")
        else:
            lines.append(f"{one['format']}: {folder / one['name']} ({one['bytes']:,} bytes)")
    return lines


@click.group()
def datasets() -> None:
    """Look at the datasets in outputfolder."""


_folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another folder than outputfolder.",
)


@datasets.command("list")
@conf_option
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_datasets(conf: Path | None, folder: Path | None, as_json: bool) -> None:
    """Datasets by their manifests, the latest first."""
    found = [one for place in _folders(loaded(conf), folder) for one in shelf.datasets(place)]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        forms = ", ".join(file["format"] for file in one["files"])
        click.echo(
            f"{one['finishedAt'][:19]}  {one['rows']:>12,} rows  {one['dataset']}  ({forms})"
        )
    if not found:
        click.echo("there is no dataset")


@datasets.command("show")
@conf_option
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.argument("name")
def show_dataset(conf: Path | None, folder: Path | None, as_json: bool, name: str) -> None:
    """The manifest of the dataset NAME; the beginning of the name is enough."""
    place, manifest = _found(loaded(conf), folder, name)
    if as_json:
        click.echo(json.dumps(manifest, indent=2))
        return
    for key, value in manifest.items():
        if not isinstance(value, list):
            click.echo(f"{key}: {value}")
    for line in _file_lines(manifest, place):
        click.echo(line)
    for column in manifest["columns"]:
        note = f"  ({column['note']})" if column.get("note") else ""
        click.echo(f"  {column['type']:<10} {column['name']}{note}")


@datasets.command("head")
@conf_option
@_folder_option
@click.option("--rows", type=click.IntRange(0, 10_000), default=10, show_default=True)
@click.argument("name")
def head(conf: Path | None, folder: Path | None, rows: int, name: str) -> None:
    """The first rows of the dataset NAME. They hold data of customers."""
    place, manifest = _found(loaded(conf), folder, name)
    try:
        shown = list(shelf.first_rows(place, manifest, rows))
    except OSError as error:
        end(NotPossible(f"The dataset cannot be read: {error.strerror or error}."))
    if not shown:
        end(NotPossible("Its rows are in no file that can be shown.", advice="Look at its table."))
    for row in shown:
        click.echo(" | ".join(" ".join(value.split())[:_SHOWN] for value in row))


def _folders(settings: Settings, folder: Path | None) -> list[Path]:
    if folder:
        return [folder]
    every = [settings, *(settings.for_stp(name) for name in settings.overrides)]
    return list(dict.fromkeys(one.outputfolder for one in every))


def _found(settings: Settings, folder: Path | None, name: str) -> tuple[Path, Manifest]:
    """The one dataset whose name is ``name``, or begins with it."""
    every = [(place, one) for place in _folders(settings, folder) for one in shelf.datasets(place)]
    exact = [pair for pair in every if pair[1]["dataset"] == name]
    matching = exact or [pair for pair in every if pair[1]["dataset"].startswith(name)]
    if len(matching) != 1:
        how_many = "no dataset" if not matching else f"{len(matching)} datasets"
        advice = "connector-proxy datasets list shows their names."
        end(NotPossible(f"There is {how_many} with this name or beginning.", advice=advice))
    return matching[0]
