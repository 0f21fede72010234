"""The commands that make datasets: of two files at hand, or of two presigned URLs."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from connector_proxy import dataset, masking, staging
from connector_proxy.cli.common import conf_option, end, loaded
from connector_proxy.cli.datasets import file_lines
from connector_proxy.dataset import Made, Origin, Wanted
from connector_proxy.dataset.place import UNFINISHED, dataset_name
from connector_proxy.errors import ConnectorProxyError, NotPossible, Refused, Unavailable
from connector_proxy.progress import Progress
from connector_proxy.settings import Settings

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_FORMATS = ("parquet", "csv", "duckdb", "xpt", "table")


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that makes a dataset."""
    options = (
        conf_option,
        click.option("--format", "formats", multiple=True, type=click.Choice(_FORMATS)),
        click.option(
            "--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to."
        ),
        click.option("--name", default="", help="Name of the dataset [default: that of DATA]."),
        click.option("--on-bad-row", type=click.Choice(["refuse", "reject"])),
        click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark, for Excel."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class _Order:
    """What a command was told, with what the configuration says of the rest."""

    settings: Settings
    folder: Path
    wanted: Wanted
    origin: Origin


def _order(data: str, **told: Any) -> _Order:
    settings = loaded(told["conf"])
    wanted = Wanted.of(settings)
    wanted = replace(
        wanted,
        formats=told["formats"] or wanted.formats,
        on_bad_row=told["on_bad_row"] or wanted.on_bad_row,
        bom=told["bom"] or wanted.bom,
    )
    if "table" in wanted.formats and not wanted.table:
        end(NotPossible("There is no database to write to.", advice="Set datasettable."))
    origin = Origin(told["name"] or data.partition(".")[0], "")
    return _Order(settings, told["to"] or settings.outputfolder, wanted, origin)


@click.command()
@_options
@click.argument("data", type=_EXISTING)
@click.argument("metadata", type=_EXISTING)
def convert(data: Path, metadata: Path, **told: Any) -> None:
    """Make a dataset of the data file DATA and its METADATA file, as for a bulk task.

    What is not said here is as the configuration says; --format may stand several times.
    """
    order = _order(data.name, **told)
    _see_that_nothing_is_overwritten(order, data, metadata)
    with _told_errors():
        _make(order, data, metadata)


@click.command()
@_options
@click.argument("data_url")
@click.argument("metadata_url")
def fetch(data_url: str, metadata_url: str, **told: Any) -> None:
    """Download the files behind two presigned URLs and make a dataset of them, as for a bulk task.

    When it is interrupted, the same command goes on where it was, also with URLs that were made
    anew for the same files. Only hosts of downloadhosts are called.
    """
    order = _order(_last_name(data_url), **told)
    urls = {"data": data_url, "metadata": metadata_url}
    source = hashlib.sha256("\n".join(url.partition("?")[0] for url in urls.values()).encode())
    folder = order.folder / f"{UNFINISHED}fetch-{source.hexdigest()[:16]}"
    with _told_errors():
        files = _downloaded(urls, folder, order.settings)
        _make(order, files.data, files.metadata)
        shutil.rmtree(folder, ignore_errors=True)


def _last_name(url: str) -> str:
    return url.partition("?")[0].rstrip("/").rpartition("/")[2]


def _downloaded(urls: dict[str, str], folder: Path, settings: Settings) -> staging.Files:
    started, progress = time.monotonic(), Progress()
    try:
        files = staging.fetch(
            urls, folder, settings, lambda done, total: progress.tell("download", done, total)
        )
    except KeyboardInterrupt:
        end(NotPossible("Interrupted.", advice=f"The same command goes on; so far: {folder}"))
    except Refused as error:
        if not any(folder.glob(f"{staging.DATA}*")):
            shutil.rmtree(folder, ignore_errors=True)
        end(Refused(_with_cause(error), advice=error.advice))
    except Unavailable as error:
        end(Unavailable(_with_cause(error), advice="The same command goes on where it was."))
    finally:
        progress.end()
    size, seconds = files.data.stat().st_size, time.monotonic() - started
    click.echo(f"downloaded {size:,} bytes in {seconds:.1f} s ({_rate(size, seconds)})")
    click.echo(f"SHA-256 of the data file: {files.sha256}")
    return files


def _with_cause(error: ConnectorProxyError) -> str:
    return f"{error} ({masking.foreign(error.cause, ())})" if error.cause else str(error)


def _see_that_nothing_is_overwritten(order: _Order, *given: Path) -> None:
    stem = dataset_name(order.origin.task, order.origin.occurrence)
    for path in given:
        beside = path.resolve().parent == order.folder.resolve()
        if beside and path.name.partition(".")[0].removesuffix("_rejects") == stem:
            end(
                NotPossible(
                    f"{path.name} lies where the dataset would go, and could be overwritten.",
                    advice="Name another folder with --to, or another dataset with --name.",
                )
            )


@contextmanager
def _told_errors() -> Iterator[None]:
    """End with what happened and what to do, whatever it was."""
    try:
        yield
    except ConnectorProxyError as error:
        end(error)
    except OSError as error:
        why = error.strerror or str(error)
        end(Unavailable(f"The dataset cannot be written: {why}.", advice="Look at the folder."))


def _make(order: _Order, data: Path, metadata: Path) -> None:
    started, size, progress = time.monotonic(), data.stat().st_size, Progress()
    columns = dataset.read_metadata(metadata.read_bytes())
    order.folder.mkdir(parents=True, exist_ok=True)

    def tell(what: str, part: float) -> None:
        progress.tell(what, round(part * size), size)

    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=order.folder) as part:
        try:
            made = dataset.make(
                columns, data, order.folder, Path(part), order.origin, order.wanted, tell
            )
        finally:
            progress.end()
    _say_what_was_made(made, order.folder, time.monotonic() - started, size)


def _rate(size: int, seconds: float) -> str:
    return f"{size / max(seconds, 0.001) / 1e6:.3g} MB/s"


def _say_what_was_made(made: Made, folder: Path, seconds: float, size: int) -> None:
    click.echo(
        f"{made.rows:,} rows of {made.columns} columns, {made.rejected:,} rows rejected, "
        f"in {seconds:.1f} s ({_rate(size, seconds)})"
    )
    for line in file_lines(made.manifest, folder):
        click.echo(line)
    for column in made.manifest["columns"]:
        if note := column.get("note"):
            click.echo(f"column {column['name']} is {column['type']}: {note}")
