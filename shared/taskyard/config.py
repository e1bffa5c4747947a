"""All settings of taskyard, with units and defaults."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from taskyard import config_reading
from taskyard.message import MAX_SECONDS
from taskyard.runtime.tls import Tls

CommaList = tuple[str, ...]
#: Longer times are mistakes, and would overflow some clocks.
Seconds = Annotated[float, Meta(le=MAX_SECONDS)]
WholeSeconds = Annotated[int, Meta(le=MAX_SECONDS)]


class Settings(Struct, frozen=True, kw_only=True):
    """The settings; each is an environment variable of the same name in capitals."""

    # Servers
    broker_url_file: Annotated[
        str, Meta(description="File that holds `BROKER_URL`, instead of it.")
    ] = ""
    broker_url: Annotated[
        str,
        Meta(
            description="URL of RabbitMQ (amqp or amqps), of a cluster with all its hosts: `amqp://user:password@one,two:5672/`."
        ),
    ] = "amqp://guest:guest@127.0.0.1:5672/"
    result_backend_file: Annotated[
        str, Meta(description="File that holds `RESULT_BACKEND`, instead of it.")
    ] = ""
    result_backend: Annotated[
        str, Meta(description="URL of the state store (redis, rediss or unix).")
    ] = "redis://127.0.0.1:6379/0"
    key_prefix: Annotated[
        str, Meta(min_length=1, description="What every key in the store begins with.")
    ] = "taskyard:"
    queue_type: Annotated[
        Literal["auto", "classic", "quorum"],
        Meta(
            description="Kind of work queue. auto: quorum from RabbitMQ 4.3, classic with priorities before."
        ),
    ] = "auto"
    publish_deadline_s: Annotated[
        float,
        Meta(gt=0, le=60, description="Longest wait for RabbitMQ to confirm a message. Seconds."),
    ] = 5.0
    store_timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="Longest wait for one answer of the store. Seconds.")
    ] = 2.0
    tls_ca_file: Annotated[
        str,
        Meta(description="CAs to trust beside the system's, for amqps and rediss URLs. PEM file."),
    ] = ""
    tls_cert_file: Annotated[
        str,
        Meta(
            description="Certificate to show to RabbitMQ and the store, with its chain. PEM file."
        ),
    ] = ""
    tls_key_file: Annotated[
        str, Meta(description="Key of that certificate. PEM file. Empty: it is in TLS_CERT_FILE.")
    ] = ""

    # Jobs
    max_retries: Annotated[
        int,
        Meta(ge=0, le=1000, description="Retries of a failed job, where task and job do not say."),
    ] = 3
    task_timeout: Annotated[
        Seconds,
        Meta(gt=0, description="Time limit of an attempt, where task and job do not say. Seconds."),
    ] = 600.0
    retry_min_s: Annotated[
        Seconds,
        Meta(
            ge=0, description="Shortest wait before a retry, where the task does not say. Seconds."
        ),
    ] = 1.0
    retry_max_s: Annotated[
        Seconds,
        Meta(
            ge=0, description="Longest wait before a retry, where the task does not say. Seconds."
        ),
    ] = 600.0
    max_crashes: Annotated[
        int,
        Meta(
            ge=1,
            description="Processes that may be lost with a job alone in them before it is dead.",
        ),
    ] = 3
    payload_max_bytes: Annotated[
        int, Meta(ge=1024, description="Largest message of a job. Bytes.")
    ] = 262_144
    result_max_bytes: Annotated[
        int, Meta(ge=1024, description="Largest result as JSON. Bytes.")
    ] = 1_048_576
    result_ttl: Annotated[
        WholeSeconds,
        Meta(ge=1, description="How long completed, cancelled and expired jobs are kept. Seconds."),
    ] = 86_400
    failed_ttl: Annotated[
        WholeSeconds, Meta(ge=1, description="How long records of failed jobs are kept. Seconds.")
    ] = 2_592_000
    dead_letter_ttl: Annotated[
        str,
        Meta(
            description="How long dead letters are kept; 0: for ever. Seconds, also by queue:"
            " 0,emails=604800."
        ),
    ] = "0"
    dead_letter_max: Annotated[
        str,
        Meta(
            description="Dead letters kept of a queue, the oldest go first. Also by queue: 100000,emails=500."
        ),
    ] = "100000"
    dead_letter_max_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Largest message that a dead letter has as it was; of a larger one its"
            " beginning. Bytes.",
        ),
    ] = 4_194_304
    dead_letter_queue_bytes: Annotated[
        str,
        Meta(
            description="Bytes of dead letters kept of a queue, the oldest go first. Also by queue."
        ),
    ] = "1073741824"
    reply_ttl: Annotated[
        WholeSeconds,
        Meta(
            ge=1,
            description="How long the outcome of a job is offered to who asked for it over AMQP. Seconds.",
        ),
    ] = 86_400
    reply_queue_prefix: Annotated[
        str,
        Meta(description="What queues may begin with that replies to submissions over AMQP go to."),
    ] = "reply."
    unknown_task_ttl: Annotated[
        WholeSeconds,
        Meta(
            ge=0,
            description="How long a job waits for a worker that knows its task, before it is dead. Seconds.",
        ),
    ] = 3600

    # Worker
    task_modules: Annotated[
        CommaList, Meta(description="Modules with tasks, separated by commas.")
    ] = ("tasks",)
    worker_queues: Annotated[
        CommaList,
        Meta(
            description="Queues to work on, separated by commas. Empty: those of the loaded tasks."
        ),
    ] = ()
    worker_processes: Annotated[
        int, Meta(ge=1, le=256, description="Child processes of a worker.")
    ] = 2
    worker_threads: Annotated[
        int, Meta(ge=1, le=256, description="Jobs that one child runs at a time.")
    ] = 8
    shutdown_grace: Annotated[
        Seconds, Meta(ge=0, description="How long a stopping worker lets jobs finish. Seconds.")
    ] = 30.0
    hard_limit_grace_s: Annotated[
        Seconds,
        Meta(
            ge=0,
            description="How long past its time limit a task may go on before its process is"
            " replaced. Seconds.",
        ),
    ] = 5.0
    lease_s: Annotated[
        Seconds, Meta(ge=1, description="How long a claim holds without a heartbeat. Seconds.")
    ] = 15.0
    heartbeat_s: Annotated[
        Seconds,
        Meta(
            gt=0, description="Pause between heartbeats, which also bring cancellations. Seconds."
        ),
    ] = 1.0
    max_jobs_per_child: Annotated[
        int, Meta(ge=0, description="Jobs after which a child is replaced. 0: never.")
    ] = 0
    max_child_rss: Annotated[
        int, Meta(ge=0, description="Memory above which a child is replaced. MiB. 0: no limit.")
    ] = 0

    # Scheduler
    dispatch_interval_s: Annotated[
        Seconds,
        Meta(
            gt=0,
            description="Longest pause between looks for due jobs, which are looked for at their"
            " times. Seconds.",
        ),
    ] = 1.0
    relay_after_s: Annotated[
        Seconds,
        Meta(
            ge=0,
            description="Age at which a recorded, unconfirmed job is published again. Seconds.",
        ),
    ] = 10.0
    auto_repair: Annotated[
        bool,
        Meta(
            description="Bring back jobs whose message or place in the store was lost, without an operator."
        ),
    ] = True
    priority_aging_s: Annotated[
        str,
        Meta(
            description="How long a ready job waits until it rises by one priority; 0: it never does."
            " Whole seconds, also by queue: 0,emails=300."
        ),
    ] = "0"
    schedules_file: Annotated[
        str,
        Meta(
            description="File that declares schedules. Empty: `tasks/schedules.toml`, where there is one."
        ),
    ] = ""

    # API and metrics
    api_host: Annotated[str, Meta(description="Address that the API listens on.")] = "127.0.0.1"
    api_port: Annotated[int, Meta(ge=1, le=65535, description="Port of the API.")] = 5000
    api_key_file: Annotated[str, Meta(description="File that holds `API_KEY`, instead of it.")] = ""
    api_key: Annotated[
        str,
        Meta(
            description="A first key of the API, with all scopes: 32 to 256 letters, digits or `._~+/=-`."
        ),
    ] = ""
    api_allow_anonymous: Annotated[
        bool,
        Meta(
            description="Serve without a key also where others can reach it, as long as there is none."
        ),
    ] = False
    api_anonymous_hosts: Annotated[
        CommaList,
        Meta(
            description="Hosts that requests without a key may name, besides those of loopback; no ports."
            " `*`: any."
        ),
    ] = ()
    api_metrics_open: Annotated[
        bool,
        Meta(
            description="Serve `/metrics` of the API to everybody. false: to keys with `metrics:read`."
        ),
    ] = True
    api_threads: Annotated[int, Meta(ge=2, le=1024, description="Requests served at a time.")] = 32
    api_streams: Annotated[
        int,
        Meta(
            ge=0,
            description="Live streams at a time, each with a thread; at most half of those above 8.",
        ),
    ] = 8
    api_connections: Annotated[
        int,
        Meta(
            ge=16,
            le=100_000,
            description="Connections to the API at a time; with more, the ones that rest go first.",
        ),
    ] = 2000
    api_connections_per_address: Annotated[
        int,
        Meta(
            ge=0,
            description="Connections of one address that send a request or take an answer. 0: any number.",
        ),
    ] = 256
    api_held_max_bytes: Annotated[
        int,
        Meta(
            ge=16_777_216,
            description="Requests and answers kept for clients that send or take them slowly. Bytes.",
        ),
    ] = 134_217_728
    batch_max_bytes: Annotated[
        int, Meta(ge=1024, description="Largest body of `POST /v1/jobs/batch`. Bytes.")
    ] = 8_388_608
    wait_max_s: Annotated[
        Seconds, Meta(ge=0, description="Longest `wait_s` of a request for a job. Seconds.")
    ] = 60.0
    audit_log_max: Annotated[
        int,
        Meta(ge=100, le=10_000_000, description="Entries of the audit log, the oldest go first."),
    ] = 100_000
    audit_log_ttl: Annotated[
        WholeSeconds, Meta(ge=1, description="How long entries of the audit log are kept. Seconds.")
    ] = 31_536_000
    metrics_host: Annotated[
        str, Meta(description="Address of health and metrics of worker and scheduler.")
    ] = "127.0.0.1"
    metrics_hosts: Annotated[
        CommaList,
        Meta(
            description="Hosts that requests for `/metrics` without a key may name, besides those of loopback"
            " and the address that they come to; no ports. `*`: any."
        ),
    ] = ()
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of health and metrics of worker and scheduler.")
    ] = 9100

    # Logs
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Lowest level that is logged."),
    ] = "info"
    log_jobs: Annotated[
        int,
        Meta(
            ge=0,
            description="Ends of attempts that each child of a worker logs one by one in a second; with more"
            " it logs none until there are fewer. 0: none. Failures and retries are logged all the same.",
        ),
    ] = 10
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="auto: console on a terminal, json elsewhere."),
    ] = "auto"

    def __repr__(self) -> str:
        """Return a text with the names of what is not as by default; values may be secret."""
        changed = [name for name, field in FIELDS.items() if getattr(self, name) != field.default]
        return f"<settings: {', '.join(changed) or 'the defaults'}>"

    @property
    def tls(self) -> Tls:
        """The certificates for connections by TLS."""
        return Tls(self.tls_ca_file, self.tls_cert_file, self.tls_key_file)


#: All settings by name, in the order in which they are declared.
FIELDS: Mapping[str, structs.FieldInfo] = {field.name: field for field in structs.fields(Settings)}


def load(**overrides: object) -> Settings:
    """Return the settings of this environment.

    Args:
        overrides: Settings by name that win over the environment.

    Raises:
        ConfigurationError: If any value is refused, or a name is not known; the text names all of them.
    """
    return Settings(**config_reading.read(FIELDS, overrides))
