"""The commands that look at datasets: listed, shown, their first rows."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from connector_proxy.cli.common import conf_option, end, loaded, local
from connector_proxy.dataset import shelf
from connector_proxy.dataset.shelf import Manifest
from connector_proxy.errors import NotPossible
from connector_proxy.masking import printable
from connector_proxy.settings import Settings

_SHOWN = 40
"""Characters of a value that ``head`` shows."""


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
        finished = local(datetime.fromisoformat(one["finishedAt"]))
        click.echo(f"{finished}  {one['rows']:>12,} rows  {one['dataset']}  ({forms})")
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
    for line in file_lines(manifest, place):
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
        where = "; ".join(file_lines(manifest, place))
        end(
            NotPossible("Parquet and CSV are shown, and it has neither.", advice=f"Look at {where}")
        )
    for row in shown:
        click.echo(" | ".join(printable(" ".join(value.split())[:_SHOWN]) for value in row))


def _folders(settings: Settings, folder: Path | None) -> list[Path]:
    if folder:
        return [folder]
    return list(dict.fromkeys(one.outputfolder for one in settings.each()))


def _found(settings: Settings, folder: Path | None, name: str) -> tuple[Path, Manifest]:
    """The one dataset whose name is ``name``, or begins with it."""
    every = [(place, one) for place in _folders(settings, folder) for one in shelf.datasets(place)]
    exact = [pair for pair in every if pair[1]["dataset"] == name]
    matching = exact or [pair for pair in every if pair[1]["dataset"].startswith(name)]
    if len(matching) != 1:
        found = f"are {len(matching)} datasets" if matching else "is no dataset"
        advice = "connector-proxy datasets list shows their names."
        end(NotPossible(f"There {found} with this name or beginning.", advice=advice))
    return matching[0]


def file_lines(manifest: Manifest, folder: Path) -> list[str]:
    """Where the files and tables of a dataset are, a line each."""
    lines = []
    for one in manifest["files"]:
        if one.get("table"):
            where = "" if one["format"] == "table" else f" in {folder / one['name']}"
            lines.append(f"{one['format']}: table {one['table']}{where}")
        else:
            lines.append(f"{one['format']}: {folder / one['name']} ({one['bytes']:,} bytes)")
    return lines
