"""RabbitMQ and Redis that restart, die, stand still, run full or change over."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from taskyard.local_servers import Process, RabbitServer, RedisServer
from tests.nemesis.faults.registry import fault
from tests.nemesis.scene import Scene
from tests.polling import poll
from tests.yard import kill_broker

#: Redis' folder of its append-only file.
DATA = "appendonlydir"
#: What a replica may be behind at most while it follows.
REPLICA_LAG_S = 0.5


def restart(scene: Scene, server: Process) -> None:
    """Stop a server as an operator does, and start it again a little later."""
    server.stop()
    scene.last(2)
    server.start()
    server.wait_ready()


def kill(scene: Scene, *servers: Process, away_s: float) -> None:
    """Kill servers at once, and start them again a little later."""
    with killed(scene, *servers):
        scene.last(away_s)


@contextmanager
def killed(scene: Scene, *servers: Process) -> Iterator[None]:
    """Kill servers; they run again, and the fault is over, after the block."""
    for server in servers:
        kill_broker(server) if isinstance(server, RabbitServer) else server.kill()
    yield
    for server in servers:
        server.start()
    for server in servers:
        server.wait_ready()
    scene.over()


def pause(scene: Scene, server: Process, seconds: float) -> None:
    """Let a server stand still: connections stay, and nobody answers."""
    server.pause()
    scene.last(seconds)
    server.resume()


@contextmanager
def memory_alarm_in(rabbit: RabbitServer) -> Iterator[None]:
    """Let RabbitMQ believe that it is out of memory while the block runs: it blocks all publishers."""
    rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        yield
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.4")


@fault
def rabbit_restart(scene: Scene) -> None:
    """RabbitMQ is restarted in good order, as for an update."""
    restart(scene, scene.stack.rabbit)


@fault
def rabbit_kill9(scene: Scene) -> None:
    """RabbitMQ's process is killed and started again, twice."""
    for _ in range(2):
        kill(scene, scene.stack.rabbit, away_s=3)
        scene.last(6)


@fault
def rabbit_stop20(scene: Scene) -> None:
    """RabbitMQ answers nothing for 20 s, and its connections stay: a disk that hangs."""
    pause(scene, scene.stack.rabbit, 20)


@fault
def memory_alarm(scene: Scene) -> None:
    """RabbitMQ runs out of memory, and blocks publishers until it is better."""
    with memory_alarm_in(scene.stack.rabbit):
        scene.last(20)


@fault
def disk_alarm(scene: Scene) -> None:
    """RabbitMQ's disk is nearly full, and it blocks publishers until there is room."""
    scene.stack.rabbit.control("set_disk_free_limit", "900GB")
    scene.last(15)
    scene.stack.rabbit.control("set_disk_free_limit", "50MB")


@fault
def close_connections(scene: Scene, times: int = 6) -> None:
    """A load balancer, or an operator, closes all connections to RabbitMQ, again and again."""
    for _ in range(times):
        scene.stack.rabbit.control("close_all_connections", "by a fault")
        scene.last(2.5)


@fault
def consumer_timeout(scene: Scene) -> None:
    """RabbitMQ's consumer_timeout is far below a job's time: before 4.3 it closes the channel every time."""
    settings = (
        "application:set_env(rabbit, consumer_timeout, {}), "
        "application:set_env(rabbit, channel_tick_interval, {})."
    )
    rabbit = scene.stack.rabbit
    rabbit.control("eval", settings.format(8_000, 2_000))
    rabbit.control("close_all_connections", "for the new settings")
    scene.last(3)
    scene.load.burst(6, "async_nap", 30)
    scene.last(38)
    rabbit.control("eval", settings.format(1_800_000, 60_000))
    rabbit.control("close_all_connections", "for the old settings")


@fault
def redis_restart(scene: Scene) -> None:
    """Redis is restarted in good order, as for an update."""
    restart(scene, scene.stack.redis)


@fault
def redis_kill9(scene: Scene) -> None:
    """Redis' process is killed and started again, three times."""
    for _ in range(3):
        kill(scene, scene.stack.redis, away_s=1.5)
        scene.last(4)


@fault
def redis_stop10(scene: Scene) -> None:
    """Redis answers nothing for 10 s, less than a lease: a fork of much memory, or a slow disk."""
    pause(scene, scene.stack.redis, 10)


@fault
def redis_stop25(scene: Scene) -> None:
    """Redis answers nothing for 25 s, longer than a lease: nobody could renew any meanwhile."""
    pause(scene, scene.stack.redis, 25)


@fault
def redis_failover(scene: Scene) -> None:
    """A replica that is 1.5 s behind takes over, as after a power cut: the last writes are gone."""
    server = scene.stack.redis
    assert server.cwd is not None
    folder = server.cwd.parent / f"replica-{time.time_ns()}"
    with (
        RedisServer(folder, extra_options={"replicaof": f"127.0.0.1 {server.port}"}) as replica,
        redis.Redis.from_url(replica.url) as follower,
    ):
        poll(lambda: follower.info("replication")["master_link_status"] == "up")
        scene.last(2)
        behind_since = time.time() - REPLICA_LAG_S
        follower.replicaof("NO", "ONE")
        scene.last(1.5)
        server.kill()
        scene.stack.witness.forgotten.append((behind_since, time.time()))
    _take_over(folder / "redis" / DATA, server.cwd / DATA)
    server.start()
    server.wait_ready()


def _take_over(theirs: Path, ours: Path) -> None:
    shutil.rmtree(ours, ignore_errors=True)
    shutil.copytree(theirs, ours)


@fault
def both_servers_kill9(scene: Scene) -> None:
    """RabbitMQ and Redis are killed at once: they were on one machine."""
    kill(scene, scene.stack.rabbit, scene.stack.redis, away_s=2)
