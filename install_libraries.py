"""Makes .venv beside this file and installs connector-proxy into it, or brings it up to date.

    install_libraries              what requirements.txt lists; where there is a folder "wheels"
                                   beside this file, out of that alone
    install_libraries /download    fills that folder, for a machine without internet that has the
                                   same system and release of Python

Works from any folder, and without anybody watching; ends with 0 or 1.
"""

import os
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
WHEELS = HOME / "wheels"
REQUIREMENTS = HOME / "requirements.txt"
SCRIPTS = HOME / ".venv" / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
OLDEST = (3, 11)
LOOK_AT_SQLITE = """
from connector_proxy import database
if issue := database.sqlite_issue():
    print(f"WARNING: {issue}. {database.SQLITE_ADVICE}")
"""


def main(arguments: list) -> int:
    """Do what ``arguments`` say; the exit code."""
    if sys.version_info < OLDEST:
        return say(f"ERROR: this is Python {sys.version.split()[0]}; 3.11 or newer is needed.", 1)
    deed = {(): install, ("/download",): download, ("--download",): download}.get(tuple(arguments))
    if not deed:
        return say(__doc__, 1)
    try:
        make_environment()
        deed()
    except (subprocess.CalledProcessError, OSError) as error:
        if isinstance(error, OSError):
            say(str(error))
        say("ERROR: it stopped; the lines above say why.")
        return say("A service that runs keeps the files in .venv: stop it first.", 1)
    return 0


def make_environment() -> None:
    """A virtual environment that works; one that was copied here, or whose Python is gone, does
    not."""
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", ""], check=False).returncode:
        say("making .venv ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", SCRIPTS.parent], check=True)


def download() -> None:
    """Fill the folder of wheels, also with what builds the package itself."""
    import tomllib

    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    building = [*project["build-system"]["requires"], "editables", "pip"]
    say("downloading ...")
    pip("download", "--only-binary=:all:", "--dest", WHEELS, "-r", REQUIREMENTS, *building)
    say(f"OK: {len(list(WHEELS.glob('*.whl')))} files in {WHEELS}; copy this folder as a whole.")


def install() -> None:
    """Install what is needed, then the package, which stays where it is."""
    offline = ["--no-index", "--find-links", WHEELS] if WHEELS.is_dir() else []
    say("installing out of the folder wheels ..." if offline else "installing ...")
    pip("install", *offline, "--upgrade", "pip")
    pip("install", *offline, "-r", REQUIREMENTS)
    pip("install", *offline, "--no-deps", "-e", HOME)
    subprocess.run([PYTHON, "-m", "connector_proxy", "--version"], check=True)
    subprocess.run([PYTHON, "-c", LOOK_AT_SQLITE], check=True)
    say(f"OK: installed. See it work:  {SCRIPTS / 'connector-proxy'} demo")


def pip(command: str, *arguments: object) -> None:
    """Run pip of the environment, quietly; raises ``CalledProcessError``."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    words = [str(PYTHON), "-m", "pip", command, *quiet, *map(str, arguments)]
    subprocess.run(words, check=True)


def say(text: str, code: int = 0) -> int:
    """Tell it at once, and hand ``code`` on."""
    print(text, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
