"""MemoryQueue: the verbs without a disk, for tests and for programs that need only the order."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from pq_cli.core.arguments import valid_making
from pq_cli.core.policy import QueueConfig, valid_config
from pq_cli.queue.memory.store import MemoryStore
from pq_cli.queue.verbs import Queue

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryQueue(Queue):
    """A priority queue in memory with the verbs, order and errors of `Spool`.

    config: the policy; None means the defaults, a value out of range is a ConfigError. clock:
    returns Unix seconds; tests hand in their own. Payloads are bytes and are held in memory.
    jitter: returns what backoff is shortened by, as a share of a tenth, in [0, 1).
    """

    def __init__(
        self,
        config: QueueConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        valid_making(clock, jitter)
        config = QueueConfig() if config is None else valid_config(config)
        super().__init__(MemoryStore(config, clock), config, jitter)
