"""Connecting: one host after another, each within its time, and signals are heard meanwhile."""

from __future__ import annotations

import os
import random
import re
import socket
import time
from typing import TYPE_CHECKING

from pq_cli.postgres.wire import libpq
from pq_cli.postgres.wire.session import Refused, Session, ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Options = dict[str, str]

_FOREVER = 130.0
"""Seconds that a kernel tries on its own; for a timeout that says so."""
_STATE = re.compile(r":  ([0-9A-Z]{5}): ")
_WHERE = re.compile(r"^LOCATION:.*\n?", re.MULTILINE)
"""What libpq adds to a refusal: the SQLSTATE, and a line of the server's source."""


class WrongConninfoError(Exception):
    """A text that libpq does not take for a connection string."""


def connect(conninfo: str, defaults: Mapping[str, str]) -> Session:
    """Return a connection to the first server that suits.

    defaults: options that count where the conninfo, or the environment, has none of the name.
    Raises WrongConninfoError, UnicodeError, Refused.
    """
    try:
        known = libpq.Conninfo.parse(conninfo.encode())
    except libpq.Error as error:
        raise WrongConninfoError(str(error)) from None
    said, meant = {}, {}
    for option in known:
        name = option.keyword.decode()
        variable = None if option.envvar is None else os.environ.get(option.envvar.decode())
        if option.val is not None:
            said[name] = meant[name] = option.val.decode()
        elif variable:
            meant[name] = variable
        elif name in defaults:
            said[name] = meant[name] = defaults[name]
    said["client_encoding"] = "UTF8"
    refusals = []
    for attempt in _attempts(said, meant):
        try:
            return _connected(attempt, _seconds(meant))
        except Refused as refused:
            refusals.append(refused)
    state = next((refused.state for refused in refusals if refused.state), None)
    raise Refused(state, "; ".join(dict.fromkeys(map(str, refusals))))


def _seconds(meant: Options) -> float:
    try:
        seconds = float(meant.get("connect_timeout", "0"))
    except ValueError:
        raise WrongConninfoError("connect_timeout") from None
    return max(2.0, seconds) if seconds > 0 else _FOREVER


def _attempts(said: Options, meant: Options) -> Iterator[Options]:
    """Yield the options for each host: who waits for one that has vanished is to come to the next.

    libpq would do that by itself, but not where others do the waiting.
    """
    hosts, addresses, ports = (
        meant[name].split(",") if meant.get(name) else [] for name in ("host", "hostaddr", "port")
    )
    count = max(1, len(hosts), len(addresses))
    parts = {"host": hosts, "hostaddr": addresses, "port": ports}
    if any(len(part) not in (0, 1, count) for part in parts.values()):
        yield said  # libpq refuses it
        return
    each = [
        options
        for n in range(count)
        for options in _addresses(
            {**said, **{name: part[n % len(part)] for name, part in parts.items() if part}}
        )
    ]
    if meant.get("load_balance_hosts") == "random":
        random.shuffle(each)
    if meant.get("target_session_attrs") == "prefer-standby":
        yield from ({**options, "target_session_attrs": "standby"} for options in each)
        each = [{**options, "target_session_attrs": "any"} for options in each]
    yield from each


def _addresses(options: Options) -> list[Options]:
    """Return the options for each address of a host."""
    host = options.get("host", "")
    if not host or host[0] in "/@" or options.get("hostaddr"):
        return [options]
    try:
        found = socket.getaddrinfo(host, options.get("port") or 5432, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [options]  # libpq will say so
    return [{**options, "hostaddr": str(each[4][0])} for each in found]


def _connected(options: Options, seconds: float) -> Session:
    conninfo = " ".join(f"{name}='{_quoted(value)}'" for name, value in options.items())
    deadline = time.monotonic() + seconds
    try:
        wire = libpq.PGconn.connect_start(conninfo.encode())
        libpq.tell_states(wire, True)  # before anything is heard
        while wire.status != libpq.ConnStatus.BAD:
            state = wire.connect_poll()
            if state == libpq.PollingStatus.OK:
                libpq.tell_states(wire, False)
                return Session(wire)
            if state == libpq.PollingStatus.FAILED:
                break
            if not ready(wire.socket, state, deadline):
                wire.finish()
                raise Refused(None, "connection failed: no answer in time")
        said = wire.error_message.decode("utf-8", "replace")
        wire.finish()
    except libpq.Error as error:
        raise Refused(None, str(error)) from None
    raise _refusal(said)


def _refusal(said: str) -> Refused:
    """Return what libpq says, with the SQLSTATE apart: the words are in the server's language."""
    state = _STATE.search(said)
    words = _STATE.sub(": ", _WHERE.sub("", said)).split()
    return Refused(None if state is None else state[1], f"connection failed: {' '.join(words)}")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
