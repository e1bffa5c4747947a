"""The producers of examples/producers, run as they are against the real broker."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pika
import pytest

from taskyard.job import document
from taskyard.local_servers.errors import LocalServerError
from tests.polling import poll
from tests.secured import manage
from tests.yard import CHECKOUT
from tools.install_packages import (
    JAVA_AMQP_PACKAGE,
    PHP_AMQP_PACKAGE,
    PHP_PACKAGE,
    ensure_installed,
)

FOLDER = CHECKOUT / "examples/producers"
GO_PATH = Path("/usr/share/gocode")
GO_PACKAGE = "golang-github-rabbitmq-amqp091-go-dev"


@pytest.fixture(scope="module")
def yard(secured_yard):
    """A yard with a worker that knows the demo tasks, and a scheduler, on a RabbitMQ with its users."""
    poll(lambda: secured_yard.store.tasks() and "default" in secured_yard.store.queues())
    return secured_yard


@pytest.fixture(scope="module")
def url(secured):
    """The address for the user that may only submit."""
    return secured.rabbit.plain_url_of("producer")


def python(folder):
    """Return the command of the producer in Python."""
    return [sys.executable, str(FOLDER / "submit.py")]


def node(folder):
    """The same in Node, with the library that its lock file names."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed, and too large to install for a test")
    shutil.copytree(FOLDER / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=30000"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    if done.returncode:
        pytest.skip(f"the library cannot be fetched here: {done.stderr[-500:]}")
    return ["node", str(folder / "submit.js")]


def go(folder):
    """The same in Go, with Debian's library."""
    if not (shutil.which("go") and (GO_PATH / "src/github.com/rabbitmq/amqp091-go").is_dir()):
        pytest.skip(f"golang-go and {GO_PACKAGE} are not installed, and too large to be for a test")
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_PATH)}
    command = ["go", "build", "-o", str(folder), str(FOLDER / "go/submit.go")]
    subprocess.run(command, env=env, check=True, timeout=100)
    return [str(folder)]


def java(folder):
    """The same in Java, with Debian's library."""
    if not shutil.which("javac"):
        pytest.skip("a Java development kit is not installed, and too large to install for a test")
    _install(JAVA_AMQP_PACKAGE)
    names = ("amqp-client", "slf4j-api", "slf4j-nop")
    jars = ":".join(f"/usr/share/java/{name}.jar" for name in names)
    source = str(FOLDER / "java/Submit.java")
    subprocess.run(["javac", "-cp", jars, "-d", str(folder), source], check=True, timeout=100)
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}:{folder}", "Submit"]


def php(folder):
    """The same in PHP, with Debian's library."""
    _install(PHP_PACKAGE, PHP_AMQP_PACKAGE)
    return ["php", str(FOLDER / "php/submit.php")]


def _install(*packages):
    try:
        ensure_installed(packages)
    except LocalServerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[python, node, go, java, php], ids=lambda it: it.__name__)
def producer(request, tmp_path_factory):
    """The command of the producer in each language."""
    return request.param(tmp_path_factory.mktemp("producer") / request.param.__name__)


def run(argv, *numbers, **env):
    """Run a producer to its end."""
    env = {"PATH": os.environ["PATH"], **env}
    argv = [*argv, *numbers]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_job_is_submitted(yard, url, producer):
    """The producer prints the reply; the job adds the numbers."""
    done = run(producer, "20", "22", BROKER_URL=url)

    assert (done.returncode, done.stderr) == (0, "")
    reply = json.loads(done.stdout)
    assert reply["status"] == "accepted"
    job = document(yard.ended(reply["id"]))
    assert (job["result"], job["origin"], job["tags"]) == (42, "amqp", ["example"])


def test_a_refusal_is_printed(yard, url, producer):
    """Of a job that lacks an argument."""
    done = run(producer, "20", BROKER_URL=url)

    assert (done.returncode, done.stderr) == (1, "")
    reply = json.loads(done.stdout)
    assert (reply["status"], reply["errors"][0]["pointer"]) == ("refused", "/kwargs/b")


def test_a_wrong_use_is_told(producer):
    """Before anything is published."""
    done = run(producer, "many", "1")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("not submitted: ")


@pytest.fixture(scope="module")
def strange_vhost(secured):
    """A function that makes a virtual host whose `taskyard.submit` takes nothing; deleted afterwards."""
    made: list[str] = []

    def make(*, is_full):
        name = f"strange-{len(made)}"
        assert manage(secured, "admin", f"vhosts/{name}", "PUT", {}) == 201
        made.append(name)
        url = f"{secured.rabbit.plain_url_of('admin').rpartition('/')[0]}/{name}"
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.exchange_declare("taskyard.submit", "topic", durable=True)
            if is_full:
                full = {"x-max-length": 0, "x-overflow": "reject-publish"}
                channel.queue_declare("full", durable=True, arguments=full)
                channel.queue_bind("full", "taskyard.submit", "#")
        return url

    yield make
    for name in made:
        assert manage(secured, "admin", f"vhosts/{name}", "DELETE") == 204


@pytest.fixture(scope="module")
def unbound(strange_vhost):
    """Where a submission finds no queue."""
    return strange_vhost(is_full=False)


@pytest.fixture(scope="module")
def full(strange_vhost):
    """Where the queue of submissions refuses more."""
    return strange_vhost(is_full=True)


def test_a_message_that_finds_no_queue_is_told(unbound, producer):
    """RabbitMQ returns it, for it is mandatory."""
    done = run(producer, "1", "2", BROKER_URL=unbound)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "not submitted: not routed: NO_ROUTE\n"


def test_a_message_that_rabbitmq_refuses_is_told(full, producer):
    """By a negative confirm."""
    done = run(producer, "1", "2", BROKER_URL=full)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("not submitted: not confirmed: ")


def test_a_broker_that_is_away_is_told(producer):
    """At once, with a reason."""
    done = run(producer, "1", "2", BROKER_URL="amqp://guest:guest@127.0.0.1:1/")

    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r"not submitted: \w", done.stderr), done.stderr


def trusting(producer, ca, folder):
    """Return the producer's command and environment with which it trusts a CA, as the README has it."""
    program, *rest = producer
    if program == "java":
        store = folder / "trust.p12"
        importing = [
            "keytool",
            "-importcert",
            "-noprompt",
            "-file",
            str(ca),
            "-storepass",
            "changeit",
        ]
        subprocess.run([*importing, "-keystore", str(store)], check=True, capture_output=True)
        trust = [
            f"-Djavax.net.ssl.trustStore={store}",
            "-Djavax.net.ssl.trustStorePassword=changeit",
        ]
        return [program, *trust, *rest], {}
    if program == "php":
        return [program, "-d", f"openssl.cafile={ca}", *rest], {}
    return producer, {"SSL_CERT_FILE": str(ca), "NODE_EXTRA_CA_CERTS": str(ca)}


def test_a_job_is_submitted_by_tls_and_to_the_right_server_only(secured, yard, producer, tmp_path):
    """By the user that may only submit; neither a strange CA nor another host name will do."""
    argv, env = trusting(producer, secured.authority.ca.cert, tmp_path)
    done = run(argv, "20", "22", BROKER_URL=secured.rabbit.url_of("producer"), **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert yard.ended(json.loads(done.stdout)["id"]).state == "completed"

    for how, url, env_ in (
        (argv, secured.rabbit.url_of("producer", host="127.0.0.1"), env),
        (producer, secured.rabbit.url_of("producer"), {}),
    ):
        done = run(how, "20", "22", BROKER_URL=url, **env_)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("not submitted: "), done.stderr


SHELL = ["bash", str(FOLDER / "submit.sh")]


def shell_env(rabbit, **env):
    """Return where the management API is, and who may use it."""
    return {
        "RABBITMQ_MANAGEMENT_URL": f"http://127.0.0.1:{rabbit.management_port}",
        "RABBITMQ_VHOST": "taskyard",
        "RABBITMQ_USER": "admin",
        "RABBITMQ_PASSWORD": rabbit.passwords["admin"],
        **env,
    }


def test_shell(secured, yard):
    """Through the management API with curl."""
    done = run(SHELL, "20", "22", **shell_env(secured.rabbit))

    assert (done.returncode, done.stderr) == (0, "")
    assert bytes(yard.ended(done.stdout.strip()).result or b"") == b"42"


def test_shell_by_tls(secured, yard):
    """With a CA that curl is told."""
    url = f"https://localhost:{secured.rabbit.management_tls_port}"
    env = shell_env(secured.rabbit, RABBITMQ_MANAGEMENT_URL=url)

    done = run(SHELL, "20", "22", CURL_CA_BUNDLE=str(secured.authority.ca.cert), **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert yard.ended(done.stdout.strip()).state == "completed"

    done = run(SHELL, "20", "22", **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "certificate" in done.stderr


def test_shell_tells_what_went_wrong(secured, unbound):
    """Not routed, and not allowed."""
    vhost = unbound.rpartition("/")[2]
    done = run(SHELL, **shell_env(secured.rabbit, RABBITMQ_VHOST=vhost))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "not submitted: not routed\n")

    done = run(SHELL, **shell_env(secured.rabbit, RABBITMQ_PASSWORD="wrong"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "not submitted: " in done.stderr
