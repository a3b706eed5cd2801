"""The lines that README and manual print do what is said, where cron or a shell runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pq_cli import Spool

ROOT = Path(__file__).parents[2]
STUBS = {
    "bin/curl": 'shift $(($# - 1)); exec cat > "$HOME/server/${1##*/reports/}"',
    "bin/ping": 'echo "64 bytes"; [ -e "$HOME/online" ] || { echo "no route" >&2; exit 2; }',
    "home/.local/bin/pq": f'exec "{sys.executable}" -m pq_cli "$@"',
}


def text(name):
    """Return a file of the project as people read it: a manual page without its markup."""
    found = (ROOT / name).read_text(encoding="utf-8")
    return found.replace("\\e", "\\") if name.startswith("man/") else found


def upload_script():
    """Return the README's `~/bin/upload`."""
    return re.search(r"```sh\n(#!/bin/sh\nexec curl.*?)```", text("README.md"), re.DOTALL)[1]


class Station:
    """A home with pq where pipx puts it, and a PATH that is as short as cron's."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.server = self.home / "server"
        for name, script in STUBS.items():
            self.write(folder / name, f"#!/bin/sh\n{script}\n")
        self.write(self.home / "bin/upload", upload_script())
        self.server.mkdir()
        path = f"{folder}/bin:/usr/bin:/bin"
        self.env = {"HOME": str(self.home), "PATH": path, "SHELL": "/bin/sh", "LANG": "C"}

    def write(self, path, content):
        """Write an executable file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)

    def spool(self):
        """Return the spool that pq uses when nothing is said."""
        return Spool(self.home / ".local/state/pq/default")

    def run(self, line, stdin=b""):
        """Run a line as cron does: by sh, in the home folder."""
        return subprocess.run(
            ["/bin/sh", "-c", line], input=stdin, env=self.env, cwd=self.home,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def station(tmp_path):
    """Give a station."""
    return Station(tmp_path)


def crontab_lines(name):
    """Return the command of every crontab line in a file."""
    return re.findall(r"^(?:# +)?(?:\*/5|\*)(?: \*){4}  (.*)$", text(name), re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "man/pq-run.1", "examples/cron-drain"])
def test_a_crontab_line_works_where_the_path_has_no_pq(station, name):
    """It finds pq, uploads what is there under its name, and gives no reason for mail."""
    assert "%" not in "".join(crontab_lines(name))  # cron reads that as a newline
    [line] = crontab_lines(name)
    (station.home / "online").touch()
    station.write(station.home / "bin/cron-drain", text("examples/cron-drain"))
    station.spool().enqueue(b"measured", name="report.xml")
    done = station.run(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (station.server / "report.xml").read_bytes() == b"measured"
    assert station.run("command -v pq").returncode != 0


def test_a_crontab_line_is_silent_while_the_station_is_offline(station):
    """The gate of the README's line is closed: no mail, and nothing is tried."""
    [line] = crontab_lines("README.md")
    station.spool().enqueue(b"measured", name="report.xml")
    done = station.run(line)
    assert (done.returncode, done.stdout, done.stderr) == (75, b"", b"")
    assert [item.claims for item in station.spool().items()] == [0]


def test_the_submit_line_uploads_under_its_name(station):
    """What the README shows for the station's script, with its `upload`."""
    [line] = re.findall(r"^measure \| (pq submit .*)$", text("README.md"), re.MULTILINE)
    done = station.run(f'PATH="$HOME/.local/bin:$PATH"; {line}', stdin=b"measured")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (station.server / "report.xml").read_bytes() == b"measured"


def test_the_manual_shows_a_name_in_a_url(station):
    """The example of pq-run(1) without a script of its own does the same."""
    shown = text("man/pq-run.1")
    [line] = re.findall(r"^\$ (pq run -j4 .*\\\n.*curl.*)$", shown, re.MULTILINE)
    station.spool().enqueue(b"measured", name="report.xml")
    done = station.run(f'PATH="$HOME/.local/bin:$PATH"; {line}')
    assert (done.returncode, done.stderr) == (0, b"")
    assert (station.server / "report.xml").read_bytes() == b"measured"


def test_first_steps():
    """The first command of the README ends well, and what it queued has gone out, live first.

    So has what a worker had at hand that was killed: the next one gets it.
    """
    env = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    script = str(ROOT / "examples/first-steps.sh")
    done = subprocess.run(
        ["sh", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    sent = [line for line in done.stdout.splitlines() if line.startswith("https://")]
    assert sent == [
        "https://example.org/live.txt <- live report",
        "https://example.org/1 <- import 2019",
        "https://example.org/2 <- import 2020",
        "https://example.org/4 <- one more",
    ]
    events = [line.split("\t")[1] for line in done.stdout.splitlines()[-3:]]
    assert events == ["lost", "claimed", "done"]
