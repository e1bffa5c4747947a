"""A private RabbitMQ and Redis on this machine, without containers: for `make run`, tests and trials.

It needs the standard library only, and nothing of the library that it is a part of.
"""

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.process import Process
from taskyard.local_servers.rabbit_server import RabbitServer
from taskyard.local_servers.redis_server import RedisServer
from taskyard.local_servers.servers import Servers

__all__ = ["LocalServerError", "Process", "RabbitServer", "RedisServer", "Servers"]
