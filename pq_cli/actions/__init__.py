"""What `enqueue`, `next` and `done` do once their options are known.

Apart from the commands, because two parsers lead here: typer's, and the quick one that spares
the commonest forms of these three commands the cost of typer. Nothing here imports typer.
"""
