"""RabbitMQ, Redis and the three services on one machine, without containers.

`make run` and the tests use it. It needs the standard library only, and nothing of the library that
it starts.
"""

from taskyard.devstack.errors import DevStackError
from taskyard.devstack.install import ensure_installed
from taskyard.devstack.process import Process
from taskyard.devstack.rabbit_server import RabbitServer
from taskyard.devstack.redis_server import RedisServer
from taskyard.devstack.servers import Servers
from taskyard.devstack.service import Service

__all__ = [
    "DevStackError",
    "Process",
    "RabbitServer",
    "RedisServer",
    "Servers",
    "Service",
    "ensure_installed",
]
