"""RabbitMQ with the users of deploy/rabbitmq, and Redis, both behind TLS, with a CA of the tests' own."""

import base64
import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from taskyard.local_servers import RabbitServer, RedisServer
from taskyard.local_servers.ports import choose_port
from taskyard.local_servers.programs import RABBITMQ_PACKAGE, REDIS_PACKAGE
from tests.yard import CHECKOUT, Yard
from tools.install_packages import (
    OPENSSL_PACKAGE,
    ensure_installed,
)

DEPLOY = CHECKOUT / "deploy/rabbitmq"
USERS = ("admin", "api", "monitor", "producer", "scheduler", "worker")
#: The only name that the servers' certificates are made for.
HOST = "localhost"
OPENSSL = ("openssl", "req", "-x509", "-days", "2")

_REQUEST = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:{name}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Certificate(NamedTuple):
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """A CA of its own.

    Args:
        folder: Where its files go.
    """

    def __init__(self, folder: Path) -> None:
        ensure_installed([OPENSSL_PACKAGE])
        folder.mkdir()
        self._folder = folder
        self.ca = self._make("ca", "ca")

    def issue(self, name: str) -> Certificate:
        """Return a certificate for this host name, or for a client of this name."""
        signer = ("-CA", str(self.ca.cert), "-CAkey", str(self.ca.key))
        return self._make(name, "leaf", *signer)

    def lock(self, certificate: Certificate) -> Path:
        """Return a copy of its key that needs a password."""
        locked = certificate.key.with_suffix(".locked")
        command = ["openssl", "ec", "-aes128", "-passout", "pass:secret"]
        files = ["-in", str(certificate.key), "-out", str(locked)]
        subprocess.run([*command, *files], check=True, capture_output=True)
        return locked

    def _make(self, name: str, kind: str, *signer: str) -> Certificate:
        request = self._folder / f"{name}.conf"
        request.write_text(_REQUEST.format(name=name))
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", str(made.key), "-out", str(made.cert))
        subprocess.run(
            [*OPENSSL, *curve, *files, "-config", str(request), "-extensions", kind, *signer],
            check=True,
            capture_output=True,
        )
        return made


class SecuredRabbit(RabbitServer):
    """RabbitMQ as deploy/rabbitmq makes it; by TLS it takes clients with a good certificate or none.

    Args:
        folder: Where its data is.
        authority: Whose certificates it has and takes.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.tls_port = choose_port()
        self.management_tls_port = choose_port()
        self.passwords = {user: secrets.token_urlsafe(12) for user in USERS}
        self.definitions = folder / "definitions.json"
        made = subprocess.run(
            [str(DEPLOY / "definitions.sh"), str(self.definitions), "echo", "went on"],
            env={"PATH": os.environ["PATH"], **variables(self.passwords)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert (made.stdout, made.stderr) == ("went on\n", "")
        server = authority.issue(HOST)
        config = (DEPLOY / "rabbitmq.conf").read_text()
        assert "/run/taskyard/definitions.json" in config
        config = config.replace("/run/taskyard/definitions.json", str(self.definitions))
        super().__init__(folder, extra_config=config + self._listeners(authority, server))

    def _listeners(self, authority: Authority, server: Certificate) -> str:
        files = {"cacertfile": authority.ca.cert, "certfile": server.cert, "keyfile": server.key}
        lines = {
            "listeners.ssl.1": f"127.0.0.1:{self.tls_port}",
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "false",
            "management.ssl.ip": "127.0.0.1",
            "management.ssl.port": str(self.management_tls_port),
            **{f"ssl_options.{name}": path for name, path in files.items()},
            **{f"management.ssl.{name}": path for name, path in files.items()},
        }
        return "".join(f"{name} = {value}\n" for name, value in lines.items())

    @property
    def login(self) -> tuple[str, str]:
        """The operator."""
        return "admin", self.passwords["admin"]

    @property
    def url(self) -> str:
        """The address for an operator."""
        return self.url_of("admin")

    def url_of(self, user: str, host: str = HOST) -> str:
        """Return the address for one of the users."""
        return f"amqps://{user}:{self.passwords[user]}@{host}:{self.tls_port}/taskyard"

    def refusals(self) -> list[str]:
        """Return what it has logged of operations that a user has no right to."""
        logs = (path.read_text() for path in self.definitions.parent.glob("rabbitmq/log/*.log"))
        return [line for text in logs for line in text.splitlines() if "access_refused" in line]

    def plain_url_of(self, user: str) -> str:
        """Return the address without TLS for one of the users."""
        return f"amqp://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/taskyard"


class SecuredRedis(RedisServer):
    """Redis behind TLS, beside its plain port; by TLS it takes only clients that show a certificate.

    Args:
        folder: Where its data is.
        authority: Whose certificate it has.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.tls_port = choose_port()
        server = authority.issue(HOST)
        options = {
            "tls-port": str(self.tls_port),
            "tls-ca-cert-file": str(authority.ca.cert),
            "tls-cert-file": str(server.cert),
            "tls-key-file": str(server.key),
            "tls-auth-clients": "yes",
        }
        super().__init__(folder, extra_options=options)

    @property
    def url(self) -> str:
        """The address by TLS."""
        return self.url_of(HOST)

    def url_of(self, host: str) -> str:
        """Return the address by TLS under this name."""
        return f"rediss://{host}:{self.tls_port}/0"


class Secured(NamedTuple):
    """The servers, and what a client needs to reach them."""

    rabbit: SecuredRabbit
    redis: SecuredRedis
    authority: Authority
    client: Certificate

    def env(self, user: str) -> dict[str, str]:
        """Return the settings of a service that is this user."""
        return {"BROKER_URL": self.rabbit.url_of(user), **self.tls_env()}

    def tls_env(self) -> dict[str, str]:
        """Return the settings for certificates."""
        return {
            "TLS_CA_FILE": str(self.authority.ca.cert),
            "TLS_CERT_FILE": str(self.client.cert),
            "TLS_KEY_FILE": str(self.client.key),
        }


class SecuredYard(Yard):
    """A yard on the secured servers: every service is the user that is made for it."""

    def __init__(self, secured: Secured, folder: Path) -> None:
        modules = "tests.worker_tasks,tasks.demo"
        env = {"TASK_MODULES": modules, **secured.tls_env()}
        super().__init__(secured.rabbit, secured.redis, folder, **env)
        self.queues.append("default")
        self.worker_service = self.worker(**secured.env("worker"))
        self.scheduler_service = self.scheduler(**secured.env("scheduler"))
        self.api_service = self.api(**secured.env("api"))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the API answers."""
        url = f"{self.api_service.url}{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def manage(secured: Secured, user: str, path: str, method: str = "GET", body: Any = None) -> int:
    """Return the status with which RabbitMQ's management API answers a user."""
    url = f"http://127.0.0.1:{secured.rabbit.management_port}/api/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    login = f"{user}:{secured.rabbit.passwords[user]}".encode()
    request.add_header("Authorization", f"Basic {base64.b64encode(login).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def variables(passwords: dict[str, str]) -> dict[str, str]:
    """Return the passwords as the variables of deploy/rabbitmq/definitions.sh."""
    return {f"RABBITMQ_{user.upper()}_PASSWORD": text for user, text in passwords.items()}


@pytest.fixture(scope="session")
def secured(tmp_path_factory) -> Iterator[Secured]:
    """The servers, running."""
    ensure_installed([RABBITMQ_PACKAGE, REDIS_PACKAGE])
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "ca")
    client = authority.issue("taskyard-client")
    rabbit = SecuredRabbit(folder, authority)
    with SecuredRedis(folder, authority) as redis_server, rabbit:
        yield Secured(rabbit, redis_server, authority, client)
        rabbit.kill()


@pytest.fixture(scope="session")
def secured_yard(secured, tmp_path_factory) -> Iterator[SecuredYard]:
    """The services on the secured servers, running."""
    yard = SecuredYard(secured, tmp_path_factory.mktemp("secured-yard"))
    with yard.running(yard.worker_service, yard.scheduler_service, yard.api_service):
        yield yard
    yard.client.close()
