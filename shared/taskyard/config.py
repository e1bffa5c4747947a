"""All settings of taskyard: read once from the environment, checked all at once."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from taskyard import config_checks as checks
from taskyard.errors import ConfigurationError
from taskyard.message import MAX_SECONDS
from taskyard.tls import Tls

CommaList = Annotated[tuple[str, ...], NoDecode]
#: Longer times are mistakes, and would overflow some clocks.
Seconds = Annotated[float, Field(le=MAX_SECONDS)]
WholeSeconds = Annotated[int, Field(le=MAX_SECONDS)]
#: Settings that a file may hold, as a secret of Docker or Kubernetes does: `NAME_FILE` names it, and is
#: declared above its own.
SECRETS = ("broker_url", "result_backend", "api_key")


class Settings(BaseSettings):
    """The settings; each is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    # Servers
    broker_url_file: str = Field("", description="File that holds `BROKER_URL`, instead of it.")
    broker_url: str = Field(
        "amqp://guest:guest@127.0.0.1:5672/",
        validate_default=True,
        pattern=r"^amqps?://",
        description="URL of RabbitMQ (amqp or amqps), of a cluster with all its hosts: `amqp://user:password@one,two:5672/`.",
    )
    result_backend_file: str = Field(
        "", description="File that holds `RESULT_BACKEND`, instead of it."
    )
    result_backend: str = Field(
        "redis://127.0.0.1:6379/0",
        validate_default=True,
        pattern=r"^(rediss?|unix)://",
        description="URL of the state store (redis, rediss or unix).",
    )
    key_prefix: str = Field(
        "taskyard:", min_length=1, description="What every key in the store begins with."
    )
    queue_type: Literal["auto", "classic", "quorum"] = Field(
        "auto",
        description="Kind of work queue. auto: quorum from RabbitMQ 4.3, classic with priorities before.",
    )
    publish_deadline_s: float = Field(
        5.0, gt=0, le=60, description="Longest wait for RabbitMQ to confirm a message. Seconds."
    )
    store_timeout_s: float = Field(
        2.0, gt=0, le=60, description="Longest wait for one answer of the store. Seconds."
    )
    tls_ca_file: str = Field(
        "",
        description="CAs to trust beside the system's, for amqps and rediss URLs. PEM file.",
    )
    tls_cert_file: str = Field(
        "", description="Certificate to show to RabbitMQ and the store, with its chain. PEM file."
    )
    tls_key_file: str = Field(
        "",
        validate_default=True,
        description="Key of that certificate. PEM file. Empty: it is in TLS_CERT_FILE.",
    )

    # Jobs
    max_retries: int = Field(
        3, ge=0, le=1000, description="Retries of a failed job, where task and job do not say."
    )
    task_timeout: Seconds = Field(
        600.0,
        gt=0,
        description="Time limit of an attempt, where task and job do not say. Seconds.",
    )
    retry_min_s: Seconds = Field(
        1.0, ge=0, description="Shortest wait before a retry, where the task does not say. Seconds."
    )
    retry_max_s: Seconds = Field(
        600.0,
        ge=0,
        description="Longest wait before a retry, where the task does not say. Seconds.",
    )
    max_crashes: int = Field(
        3,
        ge=1,
        description="Processes that may be lost with a job alone in them before it is dead.",
    )
    payload_max_bytes: int = Field(262_144, ge=1024, description="Largest message of a job. Bytes.")
    result_max_bytes: int = Field(1_048_576, ge=1024, description="Largest result as JSON. Bytes.")
    result_ttl: WholeSeconds = Field(
        86_400,
        ge=1,
        description="How long completed, cancelled and expired jobs are kept. Seconds.",
    )
    failed_ttl: WholeSeconds = Field(
        2_592_000, ge=1, description="How long records of failed jobs are kept. Seconds."
    )
    dead_letter_ttl: str = Field(
        "0",
        description="How long dead letters are kept; 0: for ever. Seconds, also by queue: 0,emails=604800.",
    )
    dead_letter_max: str = Field(
        "100000",
        description="Dead letters kept of a queue, the oldest go first. Also by queue: 100000,emails=500.",
    )
    dead_letter_max_bytes: int = Field(
        4_194_304,
        ge=1024,
        validate_default=True,
        description="Largest message that a dead letter has as it was; of a larger one its beginning. Bytes.",
    )
    dead_letter_queue_bytes: str = Field(
        "1073741824",
        validate_default=True,
        description="Bytes of dead letters kept of a queue, the oldest go first. Also by queue.",
    )
    reply_ttl: WholeSeconds = Field(
        86_400,
        ge=1,
        description="How long the outcome of a job is offered to who asked for it over AMQP. Seconds.",
    )
    reply_queue_prefix: str = Field(
        "reply.",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{1,99}$",
        description="What queues may begin with that replies to submissions over AMQP go to.",
    )
    unknown_task_ttl: WholeSeconds = Field(
        3600,
        ge=0,
        description="How long a job waits for a worker that knows its task, before it is dead. Seconds.",
    )

    # Worker
    task_modules: CommaList = Field(
        ("tasks",), description="Modules with tasks, separated by commas."
    )
    worker_queues: CommaList = Field(
        (), description="Queues to work on, separated by commas. Empty: those of the loaded tasks."
    )
    worker_processes: int = Field(2, ge=1, le=256, description="Child processes of a worker.")
    worker_threads: int = Field(8, ge=1, le=256, description="Jobs that one child runs at a time.")
    shutdown_grace: Seconds = Field(
        30.0, ge=0, description="How long a stopping worker lets jobs finish. Seconds."
    )
    hard_limit_grace_s: Seconds = Field(
        5.0,
        ge=0,
        description="How long past its time limit a task may go on before its process is replaced. Seconds.",
    )
    lease_s: Seconds = Field(
        15.0, ge=1, description="How long a claim holds without a heartbeat. Seconds."
    )
    heartbeat_s: Seconds = Field(
        1.0, gt=0, description="Pause between heartbeats, which also bring cancellations. Seconds."
    )
    max_jobs_per_child: int = Field(
        0, ge=0, description="Jobs after which a child is replaced. 0: never."
    )
    max_child_rss: int = Field(
        0, ge=0, description="Memory above which a child is replaced. MiB. 0: no limit."
    )

    # Scheduler
    dispatch_interval_s: Seconds = Field(
        1.0,
        gt=0,
        description="Longest pause between looks for due jobs, which are looked for at their times. Seconds.",
    )
    relay_after_s: Seconds = Field(
        10.0,
        ge=0,
        description="Age at which a recorded, unconfirmed job is published again. Seconds.",
    )
    auto_repair: bool = Field(
        True,
        description="Bring back jobs whose message or place in the store was lost, without an operator.",
    )
    priority_aging_s: str = Field(
        "0",
        description="How long a ready job waits until it rises by one priority; 0: it never does."
        " Whole seconds, also by queue: 0,emails=300.",
    )
    schedules_file: str = Field(
        "tasks/schedules.toml",
        min_length=1,
        description="File that declares schedules. The default may be missing.",
    )

    # API and metrics
    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(5000, ge=1, le=65535, description="Port of the API.")
    api_key_file: str = Field("", description="File that holds `API_KEY`, instead of it.")
    api_key: str = Field(
        "",
        repr=False,
        validate_default=True,
        pattern=r"^([A-Za-z0-9._~+/=-]{32,256})?$",
        description="A first key of the API, with all scopes: 32 to 256 letters, digits or `._~+/=-`.",
    )
    api_allow_anonymous: bool = Field(
        False,
        description="Serve without a key also where others can reach it, as long as there is none.",
    )
    api_anonymous_hosts: CommaList = Field(
        (),
        description="Hosts that requests without a key may name, besides those of loopback; no ports."
        " `*`: any.",
    )
    api_metrics_open: bool = Field(
        True,
        description="Serve `/metrics` of the API to everybody. false: to keys with `metrics:read`.",
    )
    api_threads: int = Field(32, ge=2, le=1024, description="Requests served at a time.")
    api_streams: int = Field(
        8,
        ge=0,
        description="Live streams at a time, each with a thread; at most half of those above 8.",
    )
    api_connections: int = Field(
        2000,
        ge=16,
        le=100_000,
        description="Connections to the API at a time; with more, the ones that rest go first.",
    )
    api_connections_per_address: int = Field(
        256,
        ge=0,
        description="Connections of one address that send a request or take an answer. 0: any number.",
    )
    api_held_max_bytes: int = Field(
        134_217_728,
        ge=16_777_216,
        description="Requests and answers kept for clients that send or take them slowly. Bytes.",
    )
    batch_max_bytes: int = Field(
        8_388_608, ge=1024, description="Largest body of `POST /v1/jobs/batch`. Bytes."
    )
    wait_max_s: Seconds = Field(
        60.0, ge=0, description="Longest `wait_s` of a request for a job. Seconds."
    )
    audit_log_max: int = Field(
        100_000, ge=100, le=10_000_000, description="Entries of the audit log, the oldest go first."
    )
    audit_log_ttl: WholeSeconds = Field(
        31_536_000, ge=1, description="How long entries of the audit log are kept. Seconds."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address of health and metrics of worker and scheduler."
    )
    metrics_hosts: CommaList = Field(
        (),
        description="Hosts that requests for `/metrics` without a key may name, besides those of loopback and"
        " the address that they come to; no ports. `*`: any.",
    )
    metrics_port: int = Field(
        9100, ge=0, le=65535, description="Port of health and metrics of worker and scheduler."
    )

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, json elsewhere."
    )

    _hosts = field_validator("broker_url")(checks.are_hosts)
    _urls = field_validator("result_backend")(checks.is_url)
    _verified = field_validator("broker_url", "result_backend")(checks.verifies)
    _tls = field_validator("tls_ca_file", "tls_cert_file")(checks.is_used)
    _tls_key = field_validator("tls_key_file")(checks.fits_the_certificate)
    _retry = field_validator("retry_max_s")(checks.not_below_the_shortest)
    _by_queue = field_validator(
        "dead_letter_ttl", "dead_letter_max", "dead_letter_queue_bytes", "priority_aging_s"
    )(checks.by_queue)
    _whole = field_validator("dead_letter_max_bytes")(checks.has_room_for_a_job)
    _replies = field_validator("reply_queue_prefix")(checks.is_free)
    _heartbeat = field_validator("heartbeat_s")(checks.well_within_the_lease)
    _lists = field_validator(
        "task_modules", "worker_queues", "api_anonymous_hosts", "metrics_hosts", mode="before"
    )(checks.split)
    _names = field_validator("api_anonymous_hosts", "metrics_hosts")(checks.are_host_names)
    _level = field_validator("log_level", mode="before")(checks.lower)
    #: Below the others, which so get to see what the file holds.
    _files = field_validator(*SECRETS, mode="wrap")(checks.from_file)

    @property
    def tls(self) -> Tls:
        """The certificates for connections by TLS."""
        return Tls(self.tls_ca_file, self.tls_cert_file, self.tls_key_file)


def load(**overrides: object) -> Settings:
    """Return the settings of this environment.

    Args:
        overrides: Settings by name that win over the environment.

    Raises:
        ConfigurationError: If any value is refused, or a name is not known; the text names all of them.
    """
    unknown = [
        f"{name.upper()}: no such setting"
        for name in overrides
        if name not in Settings.model_fields
    ]
    faults: list[str] = []
    try:
        settings = Settings(**_unambiguous(overrides))  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        faults = _explain(error)
    if unknown or faults:
        raise ConfigurationError("\n".join(unknown + faults))
    return settings


def _unambiguous(overrides: dict[str, object]) -> dict[str, object]:
    """Return them with what the environment says of the same secrets, in either form, taken back."""
    taken_back: dict[str, object] = {}
    for name in SECRETS:
        if name in overrides:
            taken_back[f"{name}_file"] = ""
        elif f"{name}_file" in overrides:
            taken_back[name] = Settings.model_fields[name].default
    return taken_back | overrides


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors():
        setting = str(fault["loc"][0])
        name, text = setting.upper(), fault["msg"].removeprefix("Value error, ")
        shown = "***" if setting in SECRETS else repr(fault["input"])
        is_of_file = text.startswith(f"{name}_FILE=")
        lines.append(text if is_of_file else f"{name}={shown}: {text}")
    return lines
