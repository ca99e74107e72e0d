"""PostgreSQL: a pool of connections for reads on the event loop, and one connection with group commit for changes.

No call waits for ever on a server that went away or froze: connecting, waiting for a connection, locks, statements and
whole transactions have time-outs, and a wait that outlives them is cut at the socket. The caller is told
Busy("StoreUnavailable") or Busy("StoreBusy"), with nothing stored, or Busy("CommitUnknown") when the connection was lost
between COMMIT and its answer: then only reading tells whether the change is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from claviger.core.errors import Busy
from claviger.store.contract import Row, Tx, Value
from claviger.store.dialect import to_postgres
from claviger.store.postgres_session import PostgresSession, adapt, connection_info, neutral, session_settings, sever
from claviger.store.writing import BATCH_LIMIT, QUEUE_LIMIT, GroupWriter

T = TypeVar("T")

READERS = 16
READERS_KEPT = 4
READS_WAITING_LIMIT = 2048
READ_WAIT_S = 5.0
READ_DEADLINE_S = 20.0
WRITE_DEADLINE_S = 30.0
WATCH_INTERVAL_S = 1.0
GENERATION_S = 0.5
```
