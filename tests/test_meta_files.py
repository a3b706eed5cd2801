"""Metas as files: read whole whatever their size and writer, or damage that is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pq_cli import DamagedItemError, QueueConfig, Spool
from pq_cli.core.meta import MAX_META_BYTES, SECTOR


@pytest.fixture
def meta(tmp_path):
    """The meta of item 1, the only one of a spool."""
    with Spool(tmp_path / "spool") as spool:
        return Path(spool.enqueue(b"x").path + ".meta.json")


def found(meta):
    """Return item 1 as a spool opened anew finds it."""
    with Spool(meta.parents[3]) as spool:
        return spool.get(1)


@pytest.mark.parametrize("place", [8190, 8191, 8192, 8193, 16384])
@pytest.mark.parametrize("size", [20_000, MAX_META_BYTES])
def test_a_long_meta_is_read_whole(meta, place, size):
    """Also where a part of it looks like the end: an object that closes a line, at any place."""
    start = meta.read_text().rstrip("}\n") + ',"metadata":{"a":{"b":1'
    part = start.ljust(place - 2) + "}\n"
    text = part + ',"c":"'.ljust(size - len(part) - 4, "x") + '"}}\n'
    assert (text[:place], len(text)) == (part, size)
    meta.write_text(text)
    assert found(meta).metadata["a"] == {"b": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b" " * (MAX_META_BYTES + 1), f"is over {MAX_META_BYTES} bytes"),
        (b"{}\n", "id is missing"),
        (b'{"id": 1', "is not JSON"),
    ],
)
def test_what_is_no_meta_is_named(meta, text, said):
    """Which file it is and what is wrong with it."""
    meta.write_bytes(text)
    where = r"pending/05/0000000/0000000001\.meta\.json"
    with pytest.raises(DamagedItemError, match=f"item 1: {where}:? {said}"):
        found(meta)


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_a_claim_and_a_renewal_overwrite_one_sector(tmp_path, durability):
    """Nothing is made: the meta is the same file, of which the last sector alone is another."""
    spool = Spool(tmp_path / "spool", config=QueueConfig(durability=durability))

    def look(item):
        path = Path(f"{item.path}.meta.json")
        return path.stat().st_ino, path.read_bytes()

    looks = [look(spool.enqueue(b"x", key="k", metadata={"long": "y" * 2000}))]
    item = spool.claim(bound=False)
    looks.append(look(item))
    looks.append(look(spool.renew(item, 500)))
    assert len({inode for inode, _ in looks}) == 1
    assert len({text[:-SECTOR] for _, text in looks}) == 1
    assert len({text[-SECTOR:] for _, text in looks}) == 3
    assert {len(text) % SECTOR for _, text in looks} == {0}
