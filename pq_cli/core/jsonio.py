"""JSON, read and written: which library, how strictly, and why. No other module asks either.

What is written here comes back as it was written, or is refused: there is no third thing. orjson
cannot promise that. It reads an integer beyond 64 bits as a float, and of two members of one name
the last; it writes NaN as null, and knows no lone surrogate, by which names that are not UTF-8 are
told. So what is a person's goes through the standard library. orjson reads what pq alone has
written and nobody's numbers are in: the log, ten thousand lines at a time. It is imported only
then: that costs a command as much as the rest of what it does.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 100
"""Levels of lists and objects in what is taken in; readers of JSON give up at a few hundred."""
_CERTAIN = 15
"""Digits that every fraction of 64 bits keeps."""
_MOST_DIGITS = 800
"""Digits of the longest fraction that 64 bits can hold, and some."""
_SHOWN = 40


class JsonError(ValueError):
    """A text is no JSON that can be kept as it is; says what is wrong with it, for people."""


# -- reading ----------------------------------------------------------------------------


def parse_strict(text: bytes | str) -> Any:
    """Return the value of JSON that a person or their program wrote. Raises JsonError.

    UTF-8 only. Refused is what would come back as something else: two members of one name, a
    number beyond what 64 bits hold of it, NaN and Infinity, which are no JSON. Integers of any
    size are kept.
    """
    return _decoded(_strict, text)


def parse_kept(text: bytes | str) -> Any:
    """Return the value of JSON that another queue wrote. Raises JsonError.

    Like `parse_strict`, but NaN and Infinity are kept, as Python's queues write them, and a
    fraction is what Python makes of it.
    """
    return _decoded(_kept, text)


def parse_edited(text: bytes) -> Any:
    """Return the value of JSON that pq wrote and a person may have edited. Raises ValueError.

    In whatever encoding an editor left it; of two members of one name the last counts, as a
    claim writes them. No number is read as another one. RecursionError is possible, too.
    """
    return _edited.decode(text.decode(json.detect_encoding(text), "surrogatepass"))


def parse_python(text: bytes | str) -> Any:
    """Return what Python's `json` reads: where only that counts, or pq itself wrote it.

    Raises ValueError or RecursionError.
    """
    return json.loads(text)


def parse_own(text: bytes | str) -> Any:
    """Return the value of what pq wrote and no user's numbers are in. Raises ValueError."""
    try:
        import orjson  # start-up: see above
    except ImportError:
        return _shallow(text)  # pq.pyz has nothing that is compiled for one machine

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _shallow(text)  # a name that is not UTF-8


def _shallow(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise JsonError("nested too deep") from None


def _decoded(decoder: json.JSONDecoder, text: bytes | str) -> Any:
    try:
        return decoder.decode(text if isinstance(text, str) else text.decode())
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError(f"not JSON: not UTF-8 at byte {error.start + 1}") from None
    except ValueError as error:
        raise JsonError(f"not JSON: {error}") from None
    except RecursionError:
        raise JsonError("not JSON that can be kept: nested too deep") from None


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(members)
    if len(values) != len(members):
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise JsonError(f"{_shown(name)} comes twice in one object")
            seen.add(name)
    return values


def _whole(text: str) -> int | float:
    if text == "-0":
        return -0.0  # as an int it would lose its sign
    try:
        return int(text)
    except ValueError:
        raise JsonError(f"{_shown(text)} has {len(text)} digits: more than can be kept") from None


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise JsonError(f"{_shown(text)} is larger than a number can be")
    return value


def _exact(text: str) -> float:
    value = _finite(text)
    if repr(value) == text:
        return value
    mantissa = text.lower().partition("e")[0].replace(".", "").lstrip("-0")
    if len(mantissa) <= _CERTAIN and (not mantissa or abs(value) > 1e-300):
        return value
    from decimal import Decimal  # only for numbers that nearly nobody writes

    known = value and len(mantissa) <= _MOST_DIGITS
    if not known or Decimal(f"{value:.{len(mantissa) - 1}e}") != Decimal(text):
        raise JsonError(f"{_shown(text)} has more digits than a number keeps: give it as a text")
    return value


def _no_constant(text: str) -> Any:
    raise JsonError(f"not JSON: {text}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


_strict = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_exact, parse_constant=_no_constant
)
_edited = json.JSONDecoder(parse_float=_exact)
_kept = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite)


# -- writing ----------------------------------------------------------------------------

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_refusing = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_sorted = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def to_json(value: object) -> bytes:
    """Return compact UTF-8 JSON; lone surrogates (names that are not UTF-8) as `\\udcxx`."""
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:
        return _ascii(value).encode()


def to_safe_json(value: object) -> bytes:
    """Return `to_json`, but with everything that could drive a terminal as an escape."""
    text = _compact(value)
    return (text if text.isprintable() else _ascii(value).replace("\x7f", "\\u007f")).encode()


def canonical_json(value: object) -> bytes:
    """Return the one spelling that an older queue's enclosed payload gets.

    ValueError (lone surrogates, which UTF-8 cannot hold) and RecursionError are possible.
    """
    return _sorted(value).encode()


def as_text(value: object) -> str:
    """Return a value as JSON for people; any value that Python's `json` has read."""
    return json.dumps(value, ensure_ascii=False)


def to_strict_json(value: object) -> str:
    """Return the JSON of a value that `parse_python` reads again as it is, but for tuples.

    Raises JsonError for what JSON does not have: NaN and Infinity, keys that are no text, other
    types, circles, more than MAX_DEPTH levels.
    """
    try:
        text = _refusing(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise JsonError(str(error)) from None
    check_depth(value)
    return text


def check_depth(value: object, most: int = MAX_DEPTH) -> None:
    """Raise JsonError if lists and objects nest deeper, or a key in them is no text."""
    level = [value]
    for _ in range(most):
        below: list[object] = []
        for parent in level:
            if isinstance(parent, dict):
                if not all(isinstance(key, str) for key in parent):
                    raise JsonError("a key is no text")
                below += parent.values()
            elif isinstance(parent, (list, tuple)):
                below += parent
        level = [each for each in below if isinstance(each, (dict, list, tuple))]
        if not level:
            return
    raise JsonError(f"nested deeper than {most} levels")
