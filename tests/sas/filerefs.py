"""FILENAME, and what INFILE, FILE and PROC PRINTTO make of a fileref or a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.fileio import Layout, Reader, Writer
from tests.sas.inputput import FileUse
from tests.sas.lexer import Stream, string_value
from tests.sas.log import Log
from tests.sas.options import Options
from tests.sas.paths import FileRef, Paths
from tests.sas.values import codec


class FileRefs:
    """The part of a job that knows external files; the job sets the attributes."""

    session: Any
    codec: str
    windows: bool
    log: Log
    options: Options
    paths: Paths
    filerefs: dict[str, FileRef]
    work_folder: Path
    webout: bytearray
    webout_open: bool
    headers: dict[str, str]
    logfile: Path | None
    warn: Callable[[str], None]
    _temps: int
    _writers: list[Any]

    def _temp_name(self, name: str) -> str:
        return f"C:\\SASTEMP\\{name}" if self.windows else str(self.work_folder / name)

    def _fileref_name(self, name: str) -> str:
        if len(name) > 8 or not name.replace("_", "a").isalnum():
            raise Fault(f"{name} is no fileref: at most 8 letters, digits and underscores")
        return name.lower()

    def assign_temp(self, name: str) -> None:
        """FILENAME name TEMP: a file that goes with the fileref."""
        low = self._fileref_name(name)
        self.clear_fileref(low)
        self._temps += 1
        path = self.work_folder / f"_tf{self._temps:04}.dat"
        self.filerefs[low] = FileRef(low, path, self._temp_name(path.name), temporary=True)

    def assign_path(self, name: str, text: str, options: dict[str, str]) -> None:
        """FILENAME name 'path'."""
        low = self._fileref_name(name)
        self.filerefs[low] = FileRef(low, self.paths.real(text), text, options=options)

    def clear_fileref(self, name: str) -> bool:
        """FILENAME name CLEAR: whether there was one."""
        found = self.filerefs.pop(name.lower(), None)
        if found and found.temporary and found.path:
            found.path.unlink(missing_ok=True)
        return found is not None

    def _filename(self, stream: Stream) -> None:
        stream.expect("filename")
        name = stream.name()
        if stream.accept("clear"):
            stream.finish()
            if not self.clear_fileref(name):
                self.log.warning(f"No logical assign for filename {name.upper()}.")
        elif stream.accept("temp"):
            options = self._file_options(stream)
            self.assign_temp(name)
            self.filerefs[name.lower()].options = options
        elif stream.kind() == "string":
            path = string_value(stream.take())[0]
            self.assign_path(name, path, self._file_options(stream))
        else:
            raise stream.unknown(f"the device {stream.low()}")

    def _file_options(self, stream: Stream) -> dict[str, str]:
        found: dict[str, str] = {}
        while not stream.done():
            name = stream.name("an option").lower()
            if name not in ("encoding", "lrecl", "termstr", "recfm"):
                raise stream.unknown(f"the option {name} of FILENAME")
            stream.expect("=")
            token = stream.take()
            found[name] = (string_value(token)[0] if token.kind == "string" else token.text).lower()
        return found

    def _fileref(self, use: FileUse) -> FileRef:
        if use.quoted:
            return FileRef("", self.paths.real(use.where), use.where)
        found = self.filerefs.get(use.where.lower())
        if found is None:
            raise StepError(f"No logical assign for filename {use.where.upper()}.", 1012)
        return found

    def _layout(self, use: FileUse, fileref: FileRef) -> Layout:
        options = {**fileref.options, **use.options}
        encoding = options.get("encoding")
        try:
            python = None if encoding is None else codec(encoding)
        except KeyError:
            raise Unknown(f"ENCODING={encoding}") from None
        flow = next(
            (one for one in ("truncover", "missover", "stopover") if one in options), "flowover"
        )
        return Layout(
            recfm=options.get("recfm", "v"),
            lrecl=int(options.get("lrecl", self.options.value("lrecl"))),
            termstr=options.get("termstr", ""),
            encoding=python,
            session=self.codec,
            windows=self.windows,
            stops_at_1a=self.windows
            and "ignoredoseof" not in options
            and options.get("recfm") != "n",
            flow=flow,
            keeps_bom=self.session.keeps_bom,
        )

    def reader(self, use: FileUse) -> Reader:
        """The input of an INFILE statement."""
        fileref = self._fileref(use)
        layout = self._layout(use, fileref)
        if not fileref.exists() or (fileref.path and fileref.path.is_dir()):
            raise StepError(f"Physical file does not exist, {fileref.shown}.", 1012)
        try:
            raw = fileref.read()
        except OSError:
            raise StepError(
                f"Insufficient authorization to access {fileref.shown}.", 1012
            ) from None
        if not use.quoted and use.where.lower() == "instream" and not raw:
            raise Fault("an empty instream is read: the stored process server would hang")
        return Reader(use.where, raw, layout, self.warn)

    def writer(self, use: FileUse) -> Writer:
        """The output of a FILE statement."""
        if not use.quoted and use.where.lower() == "_webout" and "_webout" not in self.filerefs:
            self.webout_open = True
            layout = self._layout(use, FileRef("_webout", None, ""))
            return Writer(self.webout.extend, layout, self.warn)
        fileref = self._fileref(use)
        layout = self._layout(use, fileref)
        if fileref.path is None:
            raise StepError(f"The stream {use.where.upper()} cannot be written.", 1012)
        try:
            handle = fileref.path.open("ab" if "mod" in use.options else "wb")
        except OSError:
            raise StepError(f"Physical file does not exist, {fileref.shown}.", 1012) from None
        self._writers.append(handle)
        return Writer(handle.write, layout, self.warn)

    def write_file(self, name: str, raw: bytes, *, append: bool = False) -> None:
        """What a procedure writes to a fileref."""
        fileref = self._fileref(FileUse(name, False, {}))
        assert fileref.path is not None
        with fileref.path.open("ab" if append else "wb") as file:
            file.write(raw)

    def set_header(self, name: str, value: str) -> str:
        """STPSRV_HEADER: the value before; too late once _WEBOUT is open."""
        if self.webout_open:
            raise Fault("STPSRV_HEADER after _WEBOUT was opened")
        before = self.headers.get(name.lower(), "")
        self.headers[name.lower()] = value
        return before

    def redirect_log(self, where: str, *, quoted: bool, new: bool) -> None:
        """PROC PRINTTO LOG=."""
        fileref = self._fileref(FileUse(where, quoted, {}))
        path = fileref.path
        if path is None or not path.parent.is_dir():
            raise StepError(f"Physical file does not exist, {where}.", 1012)
        if new or not path.exists():
            path.write_bytes(b"")
        self.logfile = path

        def write(line: str) -> None:
            with path.open("ab") as file:
                file.write(
                    line.encode(self.codec, "replace") + (b"\r\n" if self.windows else b"\n")
                )

        self.log.redirect = write

    def restore_log(self) -> None:
        """PROC PRINTTO."""
        self.log.redirect = None
        self.logfile = None
