"""Payloads of the `.wsjf` queues: copied verbatim, but only if they are JSON."""

from __future__ import annotations

from pathlib import Path

from pq_cli.migrate.files import MAX_DOCUMENT, check_json, read_file
from pq_cli.migrate.model import BAD_PAYLOAD, FileProblemError, Reported, Stamp


def checked(root: Path, path: str) -> Stamp | Reported:
    """Return the stamp of a payload that Python's `json` reads, or why it is not one."""
    try:
        data, stamp = read_file(root, path, MAX_DOCUMENT)
        check_json(data, BAD_PAYLOAD)
    except FileProblemError as error:
        return Reported(path, error.reason, error.detail)
    return stamp
