"""Parts: what a spool is made of; each is made when it is first used, and may be forgotten."""

from __future__ import annotations

from functools import cached_property

from pq_cli.core.policy import QueueConfig
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.index import Index
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.logs import AttemptLogs, Log
from pq_cli.spool.disk.reader import Reader
from pq_cli.spool.disk.spare import Spare
from pq_cli.spool.disk.state import Counter, SpoolState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.core.item import State
    from pq_cli.spool.followers import Followers


class Parts:
    """The parts of one spool."""

    def __init__(
        self,
        root: str,
        config: QueueConfig,
        state: SpoolState,
        report: Callable[[DamagedItemError], None],
    ) -> None:
        self.root = root
        self.config = config
        self.report = report
        self.reader = Reader(root)
        self.disk = Disk(root, config.durability == "full", self.reader)
        self.untold: dict[int, State | None] = {}
        self.foreseen: dict[int | str, str] = {}
        self.folders: set[str] = set()
        self.state = state

    def forget(self) -> None:
        """Forget all that is remembered of the spool: it may have changed."""
        for part in ("index", "attempt_logs", "spare", "followers"):
            self.__dict__.pop(part, None)
        self.untold.clear()
        self.folders.clear()

    @cached_property
    def counter(self) -> Counter:
        """The last id, the mark and their writer."""
        counter = Counter(self.disk)
        self.disk.tell_others = counter.mark
        return counter

    @cached_property
    def index(self) -> Index:
        """What is remembered of lanes and claims."""
        return Index(self.reader, self.report)

    @cached_property
    def keys(self) -> Keys:
        """The links that name the items with keys."""
        return Keys(self.reader, self.disk)

    @cached_property
    def followers(self) -> Followers:
        """Who waits for whom."""
        from pq_cli.spool.followers import Followers  # start-up: few items wait for others

        return Followers(
            self.reader, self.disk, self.spare, self.untold, self.foreseen, self.forget
        )

    @cached_property
    def spare(self) -> Spare:
        """The room that is kept for ending what has begun."""
        return Spare(self.disk)

    @cached_property
    def log(self) -> Log:
        """What happened lately."""
        return Log(self.disk, lambda: self.spare.keep())

    @cached_property
    def attempt_logs(self) -> AttemptLogs:
        """What the attempts at items wrote."""
        return AttemptLogs(self.disk, lambda: self.spare.keep())
