"""LIBNAME and LOCK: engines and the librefs that stand for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sas import jsonengine, libraries, xmlengine
from tests.sas.dsref import Reference, parse
from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.lexer import Stream, string_value
from tests.sas.libraries import FolderLibrary, Library, Member, MemoryLibrary
from tests.sas.log import Log
from tests.sas.paths import FileRef, Paths
from tests.sas.symbols import Symbols

BASE_ENGINES = {"base", "v9"}


class XmlLibrary(MemoryLibrary):
    """Reads its document when it is first looked at."""

    def __init__(self, load: Callable[[], dict[str, Any]]) -> None:
        super().__init__(engine="XMLV2", readonly=True, counts_rows=False)
        self._load = load
        self._loaded = False

    def _fetch(self) -> None:
        if not self._loaded:
            self._loaded = True
            try:
                self.tables = self._load()
            except StepError as fault:
                self.failure = str(fault)

    def members(self) -> list[str]:
        self._fetch()
        return super().members()

    def exists(self, name: str) -> bool:
        self._fetch()
        return super().exists(name)

    def open(self, name: str) -> Member:
        self._fetch()
        return super().open(name)


class LibRefs:
    """The part of a job that knows libraries; the job sets the attributes."""

    session: Any
    codec: str
    codec_name: str
    log: Log
    paths: Paths
    symbols: Symbols
    filerefs: dict[str, FileRef]
    libraries: dict[str, Library]
    fail: Callable[[str], None]

    def library(self, libref: str) -> Library:
        """The library; StepError when the libref is not assigned."""
        found = self.libraries.get(libref.lower())
        if found is None:
            raise StepError(f"Libref {libref.upper()} is not assigned.", 1012)
        return found

    def open_member(self, reference: Reference) -> Member:
        """A dataset to be read; StepError if there is none."""
        try:
            return self.library(reference.libref).open(reference.member)
        except KeyError:
            raise StepError(f"File {reference.name}.DATA does not exist.") from None

    def open_held(self, library: Library, reference: Reference) -> Any:
        """The dataset of a member that this step has locked."""
        if isinstance(library, FolderLibrary):
            return libraries.load(library.file(reference.member))
        return library.open(reference.member).dataset

    def _libname(self, stream: Stream) -> None:
        stream.expect("libname")
        name = stream.name()
        if len(name) > 8:
            raise stream.fault(f"the libref {name} is longer than 8 bytes")
        low = name.lower()
        if stream.accept("clear"):
            stream.finish()
            self._clear_library(low)
            return
        if low == "work":
            raise stream.fault("LIBNAME WORK")
        engine = stream.name().lower() if stream.kind() == "name" else "base"
        library: Library | None
        if engine == "xmlv2":
            library = self._xml_library(stream)
        elif engine == "json":
            library = self._json_library(stream)
        else:
            library = self._folder_library(low, engine, stream)
        self._clear_library(low, quiet=True)
        if library is not None:
            self.libraries[low] = library
            self.log.note(f"Libref {name.upper()} was successfully assigned.")

    def _clear_library(self, name: str, *, quiet: bool = False) -> None:
        found = self.libraries.pop(name, None)
        if isinstance(found, FolderLibrary):
            found.release_all()
        if found is None and not quiet:
            self.log.warning(f"Libname {name.upper()} is not assigned.")

    def _library_options(self, stream: Stream, known: set[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        while not stream.done():
            name = stream.name("an option").lower()
            if known and name not in known:
                raise stream.unknown(f"the option {name} of LIBNAME")
            if not stream.accept("="):
                found[name] = "1"
                continue
            token = stream.take()
            found[name] = string_value(token)[0] if token.kind == "string" else token.text.lower()
        return found

    def _folder_library(self, name: str, engine: str, stream: Stream) -> Library | None:
        shown = string_value(stream.take())[0] if stream.kind() == "string" else ""
        if engine in self.session.engines:
            self._library_options(stream, set())
            folder = self.session.engines[engine]
            return FolderLibrary(
                folder, shown, self.session.watch, engine=engine.upper(), counts_rows=False
            )
        if engine not in BASE_ENGINES | {"spde"}:
            raise Unknown(f"the engine {engine}")
        known = {"access", "compress"} | ({"filelockwait"} if engine in BASE_ENGINES else set())
        options = self._library_options(stream, known)
        if not shown:
            raise stream.unknown("LIBNAME without a path")
        folder = self.paths.real(shown)
        if not folder.is_dir():
            self.log.note(f"Library {name.upper()} does not exist.")
            return None
        return FolderLibrary(
            folder, shown, self.session.watch, engine="SPDE" if engine == "spde" else "V9",
            readonly=options.get("access") == "readonly", wait=min(float(options.get("filelockwait", "0")), self.session.lock_patience),
        )  # fmt: skip

    def _engine_file(self, options: dict[str, str], name: str) -> FileRef:
        found = self.filerefs.get(options.get(name, "").lower())
        if found is None or not found.exists():
            raise StepError(f"The fileref of {name.upper()}= is not assigned or has no file.")
        return found

    def _xml_library(self, stream: Stream) -> Library | None:
        options = self._library_options(stream, {"xmlfileref", "xmlmap", "access"})
        document, described = (self._engine_file(options, one) for one in ("xmlfileref", "xmlmap"))
        try:
            tables = xmlengine.read_map(described.read())
        except ValueError as fault:
            raise StepError(f"The XMLMap cannot be read: {fault}") from None
        if options.get("access") != "readonly":
            raise Unknown("XMLV2 without ACCESS=READONLY")
        return XmlLibrary(
            lambda: xmlengine.read_document(document.read(), tables, self.codec, self.codec_name)
        )

    def _json_library(self, stream: Stream) -> Library | None:
        options = self._library_options(
            stream, {"fileref", "map", "noalldata", "ordinalcount", "access"}
        )
        document, described = (self._engine_file(options, one) for one in ("fileref", "map"))
        if "noalldata" not in options or options.get("ordinalcount") != "none":
            raise Unknown("JSON engine with ALLDATA or ORDINALCOUNT")
        try:
            tables = jsonengine.read(document.read(), described.read(), self.codec, self.codec_name)
        except ValueError:
            raise StepError("Invalid JSON in input near line 1 column 1.") from None
        return MemoryLibrary(tables, engine="JSON", readonly=True, counts_rows=False)

    def _lock(self, stream: Stream) -> None:
        stream.expect("lock")
        reference = parse(stream)
        clear = bool(stream.accept("clear"))
        stream.finish()
        library = self.libraries.get(reference.libref)
        if not isinstance(library, FolderLibrary):
            raise Fault(f"LOCK of {reference.name}, which is in no Base library")
        if clear:
            self.symbols.globals["syslckrc"] = (
                "0" if library.unlock(reference.member) else "-630099"
            )
            return
        if not library.exists(reference.member):
            self.fail(
                f"File {reference.name}.DATA does not exist: only an existing file can be locked."
            )
            self.symbols.globals["syslckrc"] = "70006"
        elif library.keep_locked(reference.member):
            self.symbols.globals["syslckrc"] = "0"
            self.log.note(f"{reference.name}.DATA is now locked for exclusive access by you.")
        else:
            self.fail(f"A lock is not available for {reference.name}.DATA.")
            self.symbols.globals["syslckrc"] = "70031"
