"""`pq stats --html`: a page that shows what there is, obeys nothing, and is never half there."""

from __future__ import annotations

import os
import re
import stat
from html.parser import HTMLParser

import pytest
from queues import BACKENDS, Clock, make_queue
from support import Pq

from pq_cli.commands.stats import gather, publish, web_page
from pq_cli.core.insight.workers import Duty, Worker
from pq_cli.errors import UsageError
from pq_cli.render.pictures.charts import heat
from pq_cli.render.pictures.crew import crew
from pq_cli.render.pictures.sparks import spark

HOSTILE = (
    "<script>alert(1)</script>", "</td></table></style><img src=x onerror=alert(1)>",
    "\" onmouseover=alert(1) x=\"", "' autofocus onfocus=alert(1) '", "&lt;b&gt; &amp; &#60;",
    "<!-- --><![CDATA[ ]]>", "javascript:alert(1)", "\x1b[2J\x00\x07", "\u202egnp.exe\u2066",
    "\udcff\udc80", "a" * 900, "</title><base href=//evil.example>",
)  # fmt: skip
VOID = {"meta", "link", "path"}
ALLOWED = {
    "html", "head", "meta", "link", "title", "style", "body", "header", "footer", "section", "h1",
    "h2", "p", "ul", "li", "b", "small", "span", "div", "time", "table", "thead", "tbody", "tr",
    "th", "td", "figure", "figcaption", "svg", "path", "dl", "dt", "dd",
}  # fmt: skip


class Page(HTMLParser):
    """Reads a page, and fails where it is not well formed or has what could do anything."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.cells = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Open an element."""
        assert tag in ALLOWED
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("src", "srcset", "style", "action")
            assert name != "href" or value == "data:,"
            assert "url(" not in value
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Close it: the one that was opened last."""
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        """Keep the text."""
        if self.open and self.open[-1] == "style":
            assert "url(" not in data and "@import" not in data
        self.words.append(data)

    def handle_comment(self, data):
        """There is none."""
        raise AssertionError(data)


def busy(queue, clock):
    """Fill a queue with something of every kind, under every hostile name and error."""
    for name in HOSTILE:
        queue.enqueue(b"x", priority=3, name=name)
        queue.fail(queue.claim(), name, dead=True)
    clock.pass_(90.0)
    queue.enqueue(b"x", priority=8, name="waits")
    queue.enqueue(b"x", priority=1, name=HOSTILE[0])
    queue.claim()
    queue.hold(queue.enqueue(b"x"))
    queue.enqueue(b"x", delay=600.0)
    queue.enqueue(b"x", priority=1)
    queue.done(queue.claim())
    queue.pause(HOSTILE[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_names_and_errors_are_shown_and_not_obeyed(backend, tmp_path):
    """In every kind of queue: the page is well formed, has no script, and all is in its text."""
    clock = Clock()
    queue = make_queue(backend, tmp_path, clock)
    busy(queue, clock)
    page = web_page(queue, gather(queue)).decode()
    words = " ".join(Page(page).words)
    assert "<script>alert(1)</script>" in words
    assert "javascript:alert(1)" in words
    assert "gnp.exe" in words and "\u202e" not in page and "\x1b" not in page and "\0" not in page
    for title in ("Waiting, by lane and age", "In, out and failed", "Workers", "Dead letters"):
        assert title in words
    counts = dict(re.findall(r"<li(?: class=\"bad\")?><b>([\d,]+)</b>(\w+)</li>", page))
    assert {state: int(count) for count, state in counts.items()}.get("failed") == len(HOSTILE)
    assert "for 0s" in words


def test_a_claim_that_is_over_does_not_look_like_work(tmp_path):
    """Who works on what, and for how long; once the lease has ended, that stands there."""
    clock = Clock()
    queue = make_queue("spool-fast", tmp_path, clock)
    queue.enqueue(b"x", name="report")
    queue.claim(lease=60.0, bound=False)
    clock.pass_(59.0)
    page = web_page(queue, gather(queue)).decode()
    assert "for 59s<" in page and "<span>lease</span>" in page
    clock.pass_(61.0)
    page = web_page(queue, gather(queue)).decode()
    assert "for 2m<" in page and '<span class="bad">lease over</span>' in page
    assert re.search('<p class="alarm">nobody is working on this spool; the last claim was', page)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_page_shows_who_works_on_what(backend, tmp_path):
    """Slots, a closed gate, failures, each item with for how long; of a command its name only."""
    clock = Clock()
    queue = make_queue(backend, tmp_path, clock)
    queue.enqueue(b"x", name="report.xml")
    queue.enqueue(b"x", priority=9)
    attendance = queue.attend()
    queue.claim()
    clock.pass_(180)
    queue.describe(Duty(slots=4, gate_closed=clock.now - 60))
    words = " ".join(Page(web_page(queue, gather(queue)).decode()).words)
    for said in (
        "1.1 report.xml", "for 3m", "working, gate closed for 1m", "1/4 slots",
        "1 working; 1 item at work, 4 slots", "gate (--when) was found closed",
    ):  # fmt: skip
        assert said in words
    attendance.close()


def test_a_page_tells_no_arguments_of_commands():
    """What stands behind the name of a program may be a password; a page is read by many."""
    told = ("/usr/bin/pq", "run", "-j4", "--", "curl", "-u", "me:secret", "https://x")
    worker = Worker(lock="1-0", host="h", pid=7, since=0.0, command=told)
    page = crew([worker], 60.0)
    assert "curl for 1m" in page and "secret" not in page


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_queue_has_a_page(backend, tmp_path):
    """Nothing that waited, moved, works or failed is no error; each part says so."""
    queue = make_queue(backend, tmp_path, Clock())
    words = " ".join(Page(web_page(queue, gather(queue)).decode()).words)
    for said in ("Nothing waits.", "Nothing moved", "Nobody is working", "None."):
        assert said in words


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path):
    """Its policy forbids all but its own style, and there is no address in it to ask."""
    queue = make_queue("memory", tmp_path, Clock())
    page = web_page(queue, gather(queue)).decode()
    assert 'content="default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;' in page
    assert "http://" not in page and "https://" not in page and "//" not in page
    assert "prefers-color-scheme:dark" in page and "width=device-width" in page


def test_the_counts_are_those_of_the_other_forms(pq: Pq):
    """Page, JSON and sparklines tell the same history."""
    for lane in (2, 2, 8):
        pq.fill(b"x", priority=lane)
    pq("next", "--ack")
    told = pq("stats", "--json").text
    assert '"in":[' in told.replace(" ", "")
    page = pq("stats", "--html", "-").text
    labels = re.findall(r'aria-label="(in|out|failed): (\d+),', page)
    hour, day, lanes = labels[:3], labels[3:6], labels[6:]
    assert hour == day == [("in", "3"), ("out", "1"), ("failed", "0")]
    assert lanes == [("in", "2"), ("out", "1"), ("failed", "0"),
                     ("in", "1"), ("out", "0"), ("failed", "0")]  # fmt: skip
    picture = pq("stats").text
    assert re.search(r"^ all in +\S*█\S* +3 +\S*█\S* +3$", picture, re.M)
    assert re.search(r"^ +2 in +\S+ +2 ", picture, re.M)


def test_of_a_heat_map_the_most_is_the_darkest():
    """Whatever the numbers: each cell has a shade that there is, and the highest count the last."""
    for most in range(1, 300):
        shades = re.findall(r'class="h(\d)"', heat("lane", ["a", "b"], [("1", [1, most])]))
        assert shades[1] == "6" and shades[0] in "123456"


def test_a_spark_is_high_where_there_is_most():
    """A dot is nothing, the least is seen, the most is the highest, however wide it is."""
    assert spark([0, 1, 500, 1000], 4) == ".▁▄█"
    assert spark([0, 0, 0], 3) == "..."
    assert spark([5] * 60, 20) == "█" * 20
    assert spark([], 5) == ""


def test_forms_exclude_each_other(pq: Pq):
    """Two forms at once are a usage error that names them."""
    pq.fill(b"x")
    said = pq("stats", "--json", "--html", "x.html", expect=2).err
    assert "--json and --html exclude each other" in said
    assert not (pq.folder / "x.html").exists()


def test_a_reader_sees_the_old_page_or_the_new_one(tmp_path):
    """The file is another one afterwards, with the mode of before; nothing else is left there."""
    file = tmp_path / "pq.html"
    publish(str(file), b"old")
    assert stat.S_IMODE(file.stat().st_mode) & 0o600 == 0o600
    file.chmod(0o640)
    with file.open("rb") as reader:
        publish(str(file), b"new")
        assert reader.read() == b"old"
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["pq.html"]


def test_a_new_page_may_be_read_by_the_web_server(tmp_path):
    """A new file gets what the umask leaves, not a private mode."""
    before = os.umask(0o022)
    try:
        publish(str(tmp_path / "pq.html"), b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "pq.html").stat().st_mode) == 0o644


def test_what_cannot_be_written_leaves_the_old_page(tmp_path, monkeypatch):
    """A full disk: the error names the FILE, the old page stays, and nothing lies beside it."""
    file = tmp_path / "pq.html"
    publish(str(file), b"old")

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        publish(str(file), b"new")
    assert caught.value.filename == str(file)
    assert (file.read_bytes(), os.listdir(tmp_path)) == (b"old", ["pq.html"])


def test_a_link_is_followed_and_what_is_no_file_is_refused(tmp_path, pq: Pq):
    """A link keeps being one; a folder and a pipe are refused, and the folder must exist."""
    (tmp_path / "www").mkdir()
    (tmp_path / "link.html").symlink_to(tmp_path / "www" / "pq.html")
    publish(str(tmp_path / "link.html"), b"x")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "www" / "pq.html").read_bytes() == b"x"
    os.mkfifo(tmp_path / "pipe")
    for bad in ("www", "pipe"):
        with pytest.raises(UsageError, match="is no file"):
            publish(str(tmp_path / bad), b"x")
    pq.fill(b"x")
    said = pq("stats", "--html", tmp_path / "none" / "pq.html", expect=74).err
    assert "none/pq.html" in said
    assert "is no file" in pq("stats", "--html", "", expect=2).err  # "$PAGE", which nothing sets
