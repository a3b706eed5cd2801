"""libpq, as psycopg wraps it, without the rest of psycopg, which takes as long to load again.

`import psycopg.pq` runs the whole package first. So it is put in place as a package whose own code
runs when somebody asks for something in it, as a program that uses both pq and psycopg does; its
modules are found in it from the first. Raises ImportError where psycopg or libpq is missing.
"""

from __future__ import annotations

import ctypes  # psycopg.pq has it, too
import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A package that is loaded once something is asked of it that is not there yet."""

    ready = False

    def __getattr__(self, name: str) -> Any:
        if not self.ready or name.startswith("__"):
            raise AttributeError(f"module 'psycopg' has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None and self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _put_in_place() -> _Later | None:
    from importlib.util import find_spec, module_from_spec

    spec = find_spec("psycopg")
    if spec is None:
        return None
    package = module_from_spec(spec)
    package.__class__ = _Later
    sys.modules["psycopg"] = package
    return package  # type: ignore[return-value]


_package = None if "psycopg" in sys.modules else _put_in_place()
try:
    from psycopg import pq
    from psycopg.errors import Error
    from psycopg.pq import (
        Conninfo,
        ConnStatus,
        DiagnosticField,
        ExecStatus,
        PollingStatus,
        TransactionStatus,
    )
except BaseException:
    if _package is not None:
        sys.modules.pop("psycopg", None)
    raise
if _package is not None:
    _package.ready = True

version = pq.version()
if version < 140000:
    raise ImportError(f"its libpq is {pq.version_pretty(version)}; pq needs 14 or later")

PGconn = pq.PGconn
_DEFAULT, _VERBOSE = 1, 2


def _set_error_verbosity() -> Any:
    """Return libpq's function, which psycopg does not wrap; None where it cannot be had."""
    try:
        if pq.__impl__ == "python":
            library = sys.modules["psycopg.pq._pq_ctypes"].pq
        else:  # a library that is loaded is looked through together with those that it needs
            library = ctypes.CDLL(sys.modules[PGconn.__module__].__file__)
        function = library["PQsetErrorVerbosity"]
    except (OSError, AttributeError, KeyError, TypeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return function


_set_verbosity = _set_error_verbosity()


def tell_states(wire: Any, wanted: bool) -> None:
    """Let what a server says against this PGconn have its SQLSTATE, or no longer."""
    if _set_verbosity is not None:
        _set_verbosity(wire.pgconn_ptr, _VERBOSE if wanted else _DEFAULT)


__all__ = [
    "ConnStatus", "Conninfo", "DiagnosticField", "Error", "ExecStatus", "PGconn", "PollingStatus",
    "TransactionStatus", "tell_states", "version",
]  # fmt: skip
