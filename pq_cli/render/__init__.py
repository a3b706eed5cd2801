"""Values to text. What programs read is in `plain` and named here; pictures have their own modules.

`rich` is imported inside the functions that draw, never when a module loads: a command in a pipe
must not pay for it.
"""

from pq_cli.render.plain import (
    StdoutBytes,
    check_stdout,
    copy_to_stdout,
    emit,
    emit_json,
    flush,
    item_columns,
    item_fields,
    item_json,
    stdout_is_terminal,
)

__all__ = [
    "StdoutBytes", "check_stdout", "copy_to_stdout", "emit", "emit_json", "flush", "item_columns",
    "item_fields", "item_json", "stdout_is_terminal",
]  # fmt: skip
