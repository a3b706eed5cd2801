"""The C half of `signal`, for those that every command loads.

The other half makes enums of its numbers: 0.6 ms, of which a command that runs a million times a
day has no use (measure: ``python -X importtime -c "import signal"``).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

__all__ = ["signal"]
