"""Real servers for demo, tests and benchmarks: started on free ports, killed for real."""

from __future__ import annotations

from example_project.servers.mariadb import MariaDBServer
from example_project.servers.postgres import PostgresServer
from example_project.servers.processes import ServerError, ServerProcess
from example_project.servers.proxy import FaultyProxy
from example_project.servers.redis import RedisServer, SentinelServer

__all__ = [
    "FaultyProxy",
    "MariaDBServer",
    "PostgresServer",
    "RedisServer",
    "SentinelServer",
    "ServerError",
    "ServerProcess",
]
