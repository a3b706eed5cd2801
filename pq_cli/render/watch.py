"""A picture that is drawn again and again, until `q`: for `--watch`.

The terminal is put back as it was, however the loop ends; a resize draws at once in the new size.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pq_cli.errors import UsageError
from pq_cli.opened import About

_ENTER = b"\x1b[?1049h\x1b[?25l"  # the second screen, no cursor
_LEAVE = b"\x1b[?25h\x1b[?1049l"
_QUIT = b"qQ\x1b\x03\x04"


def watch(draw: Callable[[int, int], list[str]], interval: float) -> None:
    """Show `draw(columns, rows)` every `interval` seconds until q is pressed.

    `draw` returns at most `rows` lines. Raises UsageError unless stdin and stdout are a terminal.
    """
    if sys.stdin is None or not (os.isatty(0) and os.isatty(1)):
        raise UsageError("--watch needs a terminal")
    import select
    import signal
    import termios
    import tty

    before = termios.tcgetattr(0)
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    on_resize = signal.signal(signal.SIGWINCH, lambda *_: None)
    wakeup = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    try:
        tty.setcbreak(0)
        os.write(1, _ENTER)
        while True:
            _show(draw)
            ready, _, _ = select.select([0, wake], [], [], interval)
            if wake in ready:
                os.read(wake, 4096)
            if 0 in ready:
                with About(0):
                    pressed = os.read(0, 64)
                if not pressed or any(key in _QUIT for key in pressed[:1]):
                    return
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGWINCH, on_resize)
        os.close(wake)
        os.close(woken)
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.write(1, _LEAVE)


def _show(draw: Callable[[int, int], list[str]]) -> None:
    size = os.get_terminal_size(1)
    columns, rows = size.columns or 80, size.lines or 24
    lines = draw(columns, rows)[:rows]
    # Each line is overwritten, then its rest cleared: no flicker, nothing left of the last picture.
    body = "\x1b[K\r\n".join(lines)
    with About(1):
        os.write(1, f"\x1b[H{body}\x1b[K\x1b[J".encode("utf-8", "replace"))
