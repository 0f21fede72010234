"""The way from an empty Debian to a service that survives a reboot, by the words of
docs/install-linux.md: its blocks of commands are run as they stand there.

    make fresh        (as root, on Debian with debootstrap and systemd-container)

The Debian runs in a container with a systemd of its own and without a network; what it installs
comes out of the folder of wheels.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "fresh"
CLEAN, USED = BUILD / "debian", BUILD / "used"
HOME = "opt/connector-proxy"
PACKAGES = "python3,python3-venv,systemd,systemd-sysv,dbus,curl"
CURL = "curl -s -o /dev/null -w %{http_code} http://127.0.0.10:8100/"


def main() -> None:
    """Every step; ends with an error at the first that fails."""
    prepare()
    with booted():
        for number, block in enumerate(blocks(), start=1):
            print(f"--- {number}. of the document\n{block}", flush=True)
            print(inside(block))
        expect("systemctl is-active connector-proxy", "active")
        expect("systemctl show -p StatusText connector-proxy", "listens at http://127.0.0.10:8100")
        expect(
            "stat -c '%U %a' /var/lib/connector-proxy/data/deliveries.sqlite", "connector-proxy 600"
        )
        expect(
            "runuser -u nobody -- cat /etc/connector-proxy/credentials.ini 2>&1 || true", "denied"
        )
        kill()
        expect("systemd-analyze security --no-pager connector-proxy | tail -1", "OK")
        before = inside(LISTED)
        took = timed("systemctl stop connector-proxy")
        print(f"stopped in {took:.1f} s")
        expect("systemctl show -p Result connector-proxy", "success")
        inside("systemctl start connector-proxy")
    with booted():
        wait_for("systemctl is-active connector-proxy || true", "active")
        assert inside(LISTED) == before, "the delivery is still known after the reboot"
        expect(CURL, "404")
    print("OK: from an empty Debian to a service that survives a crash and a reboot")


LISTED = (
    "set -a; . /etc/connector-proxy/environment; set +a; cd /opt/connector-proxy; "
    "runuser -u connector-proxy -- .venv/bin/connector-proxy deliveries list"
)


def prepare() -> None:
    """An empty Debian, and in it this checkout, as a release is unpacked."""
    if not (CLEAN / "etc" / "debian_version").exists():
        CLEAN.mkdir(parents=True, exist_ok=True)
        options = ("--variant=minbase", f"--include={PACKAGES}")
        subprocess.run(
            ["debootstrap", *options, "bookworm", str(CLEAN)], check=True, stdout=subprocess.DEVNULL
        )
    shutil.rmtree(USED, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(CLEAN), str(USED)], check=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (USED / HOME / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, USED / HOME / name)
    download = [sys.executable, str(USED / HOME / "install_libraries.py"), "/download"]
    subprocess.run(download, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(USED / HOME / ".venv")


def blocks() -> list[str]:
    """The blocks of commands of the document that are marked as such."""
    text = (ROOT / "docs" / "install-linux.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@contextlib.contextmanager
def booted() -> Iterator[None]:
    """The Debian, from its start to its end."""
    command = [
        "systemd-nspawn", "--directory", str(USED), "--boot", "--register=no", "--keep-unit",
        "--private-network", "--console=read-only", "--machine=connector-proxy-fresh",
    ]  # fmt: skip
    with (BUILD / "console.txt").open("ab") as console:
        machine = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console
        )
        try:
            wait_for("systemctl is-system-running --wait || true", "running", "degraded")
            yield
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                inside("systemctl --no-block poweroff")
            try:
                machine.wait(60)
            except subprocess.TimeoutExpired:
                machine.kill()
                machine.wait()


def leader() -> str:
    """The first process of the Debian."""
    found = subprocess.run(
        ["pgrep", "--full", "--newest", f"systemd-nspawn --directory {USED} "],
        check=True,
        capture_output=True,
        text=True,
    )
    nspawn = found.stdout.split()[0]
    child = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    return child[0]


def inside(script: str) -> str:
    """What a script says that is run as root in the Debian; its fault is ours."""
    command = ["nsenter", "--target", leader(), "--all", "/bin/bash", "-euc", script]
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
    ran = subprocess.run(command, env=clean, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        print(ran.stdout)
        raise subprocess.CalledProcessError(ran.returncode, script)
    return ran.stdout.strip()


def expect(script: str, words: str) -> None:
    """``words`` are in what the script says."""
    said = inside(script)
    assert words in said, f"{script}\n{said}"
    print(f"{script}: {said}", flush=True)


def wait_for(script: str, *words: str) -> None:
    """The script says one of ``words`` within a minute."""
    for _ in range(120):
        with contextlib.suppress(subprocess.CalledProcessError, IndexError, OSError):
            if inside(script) in words:
                return
        time.sleep(0.5)
    raise AssertionError(f"{script} does not say {words}")


def kill() -> None:
    """The process dies; systemd starts it again, and it answers."""
    before = inside("systemctl show -p MainPID --value connector-proxy")
    inside("systemctl kill -s KILL connector-proxy")
    started = time.monotonic()
    wait_for(f"{CURL} || true", "404")
    after = inside("systemctl show -p MainPID --value connector-proxy")
    assert after not in (before, "0")
    print(f"killed, and answers again after {time.monotonic() - started:.1f} s")


def timed(script: str) -> float:
    """Seconds that a script takes."""
    started = time.monotonic()
    inside(script)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
