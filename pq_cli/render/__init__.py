"""Results to text: tables, columns, JSON; `present` chooses.

`rich` is imported inside the functions that draw, never when a module loads: a command in a pipe
must not pay for it.
"""
