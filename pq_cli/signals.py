"""The C half of `signal`, for those that every command loads.

The other half makes enums of its numbers: 0.6 ms, of which a command that runs a million times a
day has no use (measure: ``python -X importtime -c "import signal"``).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import (
        ITIMER_REAL,
        SIG_IGN,
        SIGALRM,
        SIGHUP,
        SIGPIPE,
        SIGTERM,
        getsignal,
        setitimer,
        signal,
    )
else:
    from _signal import (
        ITIMER_REAL,
        SIG_IGN,
        SIGALRM,
        SIGHUP,
        SIGPIPE,
        SIGTERM,
        getsignal,
        setitimer,
        signal,
    )

__all__ = [
    "ITIMER_REAL", "SIGALRM", "SIGHUP", "SIGPIPE", "SIGTERM", "SIG_IGN", "getsignal", "setitimer",
    "signal",
]  # fmt: skip
