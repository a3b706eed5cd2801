"""The page of `pq stats --html` in a real browser: light, dark, and as wide as a phone."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG, Pq, need_tool

WIDTHS = (390, 768, 1280)
LIGHT, DARK = 1, 0
"""`preferredColorScheme` of the browser's settings."""
ASKING = """<!DOCTYPE html><body><iframe src="page.html" style="width:%dpx;height:900px"></iframe>
<p id="told"></p><script>onload = () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const small = [...page.querySelectorAll("p,td,li,dd,h2")].filter(
    (e) => e.textContent && parseFloat(getComputedStyle(e).fontSize) < 12);
  const style = getComputedStyle(page.body);
  document.getElementById("told").textContent = ["TOLD", root.scrollWidth, root.clientWidth,
    style.backgroundColor, style.color, small.length,
    page.querySelectorAll("svg path").length, page.querySelectorAll("script,img").length].join("|");
}</script>"""


def browser(folder: Path, scheme: int, *words: str) -> str:
    """Run the browser without a window and a network; return what it prints."""
    chromium = need_tool("chromium")
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile", "--allow-file-access-from-files",
            f"--blink-settings=preferredColorScheme={scheme}", *words,
        ],
        capture_output=True, text=True, timeout=2 * HANG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def page(pq: Pq) -> Path:
    """A page of a queue with something in every part of it, long names among them."""
    pq("enqueue", "--lines", "-p", "8", stdin=b"x\n" * 300)
    names = ("report.xml", "n" * 200, "<script>document.title = 1</script>", "日本語" * 40)
    with pq.api() as spool:
        for name in names:
            spool.enqueue(b"x", priority=2, name=name)
            claimed = spool.claim()
            assert claimed is not None
            spool.fail(claimed, "an/error/without/a/space/" + "e" * 150, dead=True)
    for _ in range(3):
        pq("next", "--claim")
    died = (
        "import os, sys; from pq_cli import *; Spool(sys.argv[1]).claim(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", died, pq.spool], check=False)
    pq("next", "--ack")
    pq("pause", "the server moves to another house")
    file = pq.folder / "page.html"
    pq("stats", "--html", file)
    return file


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_follows_the_readers_colours(page: Path, width: int) -> None:
    """As laid out: no part is wider than the screen, no text below 12 px, and dark is dark."""
    told = {}
    for scheme in (LIGHT, DARK):
        (page.parent / "ask.html").write_text(ASKING % width)
        dom = browser(page.parent, scheme, "--dump-dom", (page.parent / "ask.html").as_uri())
        told[scheme] = dom.split("TOLD|")[1].split("<")[0].split("|")
    for scroll, client, _, _, small, drawn, others in told.values():
        assert int(scroll) <= int(client) <= width
        assert (small, others) == ("0", "0")
        assert int(drawn) >= 6
    light, dark = ([brightness(c) for c in told[scheme][2:4]] for scheme in (LIGHT, DARK))
    assert light[0] > 200 > 80 > light[1]
    assert dark[1] > 200 > 80 > dark[0]


def brightness(color: str) -> float:
    """Return how bright `rgb(...)` is, from 0 to 255."""
    return sum(int(n) for n in re.findall(r"\d+", color)[:3]) / 3


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_a_screenshot_can_be_taken(page: Path, scheme: int) -> None:
    """The browser draws the page, and obeys nothing on it: the title is pq's own."""
    shot = page.parent / "page.png"
    browser(page.parent, scheme, "--window-size=390,1600", f"--screenshot={shot}", page.as_uri())
    data = shot.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (390, 1600)
    assert len(data) > 20_000  # an empty page has a tenth of it
    dom = browser(page.parent, scheme, "--dump-dom", page.as_uri())
    assert "<title>pq: " in dom
