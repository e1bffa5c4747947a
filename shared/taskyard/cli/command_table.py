"""What commands there are: where each is, and what the help says of it before it is imported."""

from collections.abc import Mapping

from taskyard.cli.lazy import Later

_JOBS = {
    "submit": Later(
        "submit:submit",
        "Hand over a job of TASK with ARGS.",
        "taskyard submit background_task 1 2 --wait 30s",
        "taskyard submit send_mail 4711 -k copies=2 --delay 10m --expires 1h",
    ),
    "status": Later(
        "jobs:status",
        "Show a job.",
        "taskyard status order-4711",
        "taskyard status order-4711 --wait 30s -o json",
    ),
    "explain": Later(
        "jobs:explain",
        "Say why a job is not running, or where its time went.",
        "taskyard explain order-4711",
    ),
    "jobs": Later(
        "jobs:jobs",
        "List jobs, newest first.",
        "taskyard jobs --state failed --task send_mail --after 2h",
        "taskyard jobs --due --limit 50",
        "taskyard jobs --queue mail --all -o json",
    ),
    "change": Later(
        "waiting:change",
        "Change the job JOB_ID while it waits.",
        "taskyard change order-4711 --delay 10m --priority 9",
    ),
    "run-now": Later(
        "waiting:run_now",
        "Make jobs that wait due at once.",
        "taskyard run-now order-4711 order-4712",
    ),
    "cancel": Later(
        "job_actions:cancel",
        "Cancel JOB_IDS, or all that fit the options.",
        "taskyard cancel order-4711",
        "taskyard cancel --queue mail --state scheduled --dry-run",
    ),
    "retry": Later(
        "job_actions:retry",
        "Run failed, cancelled and expired jobs again: JOB_IDS, or all that fit.",
        "taskyard retry order-4711",
        "taskyard retry --task send_mail --error ConnectionError --dry-run",
    ),
    "remove": Later(
        "job_actions:remove",
        "Remove the records of JOB_IDS.",
        "taskyard remove order-4711",
    ),
    "dead-letters": Later(
        "dead_letters:dead_letters",
        "Look after dead letters.",
        "taskyard dead-letters groups",
        "taskyard dead-letters list --task send_mail --after 2h",
        "taskyard dead-letters replay --task send_mail --rate 20 --canary 5",
    ),
    "schedules": Later(
        "schedules:schedules",
        "Look after schedules.",
        "taskyard schedules list",
        "taskyard schedules preview --cron '30 3 * * *' --timezone Europe/Berlin",
        "taskyard schedules create nightly background_task 1 2 --cron '30 3 * * *'",
        "taskyard schedules update nightly --every 1h",
    ),
}
_CATALOGUE = {
    "tasks": Later(
        "inventory:tasks",
        "List the tasks that workers know, with their limits and pauses.",
        "taskyard tasks",
        "taskyard tasks -o json",
    ),
    "queues": Later(
        "inventory:queues",
        "List queues with their jobs by state.",
        "taskyard queues",
        "taskyard queues purge mail --dry-run",
    ),
    "workers": Later(
        "inventory:workers",
        "List worker processes.",
        "taskyard workers",
    ),
    "pause": Later(
        "controls:pause",
        "Let no job of a task or queue start until it is resumed.",
        "taskyard pause queue mail --reason 'the mail server is away'",
    ),
    "resume": Later(
        "controls:resume",
        "Let jobs of a task or queue start again.",
        "taskyard resume queue mail",
    ),
    "limit": Later(
        "controls:limit",
        "Set the limits of a task.",
        "taskyard limit send_mail",
        "taskyard limit send_mail --concurrency 5 --rate 100/m",
    ),
}
_OPERATION = {
    "verify": Later(
        "verify:verify",
        "Account for every job.",
        "taskyard verify",
        "taskyard verify --repair",
    ),
    "log": Later(
        "log:log",
        "List what operators did, the newest first.",
        "taskyard log --action queue.pause --after 1d",
    ),
    "keys": Later(
        "keys:keys",
        "Make, list and revoke keys of the API.",
        "taskyard keys create ci --scope jobs:submit --queue reports --expires 90d",
        "taskyard keys list",
    ),
}
#: All commands, by what stands above them in the help.
SECTIONS: Mapping[str, Mapping[str, Later]] = {
    "Jobs": _JOBS,
    "Tasks, queues and workers": _CATALOGUE,
    "Operation": _OPERATION,
}
