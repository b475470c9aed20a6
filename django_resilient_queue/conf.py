"""The settings: one dict, `settings.RESILIENT_QUEUE`, read and validated at each access.

`Settings` is the single list of keys, types, defaults, limits and meanings; the system checks
and the documentation are made from it.
"""

from __future__ import annotations

from enum import IntEnum

from .setting.backends import BackendsByName
from .setting.base import NAME, Setting
from .setting.folders import FilePlaces, Folders, FoldersByStorage
from .setting.numbers import NumbersByName, Seconds, Whole
from .setting.switches import OutboxChoice, Switch
from .setting.words import Names, OptionalText, Secret, Shaped, SocketAddress, Text

_MOST_DAYS = 36_500
_MIB = 1024 * 1024
LOWEST_PRIORITY, HIGHEST_PRIORITY = 1, 20


class Priority(IntEnum):
    """Names for some of the priorities, 1 to 20."""

    LOW = 1
    NORMAL = 5
    HIGH = 10
    CRITICAL = 15


class Settings:
    """Every setting there is. Times are in seconds, limits inclusive."""

    OUTBOX = OutboxChoice(
        True,
        "Whether a job has a row in the database from enqueue until it ends, so that it survives"
        " the loss of Redis's data. A dict chooses for each queue; queues it does not name are on.",
    )
    DATABASE = Text("default", "Alias of the database that holds this package's tables.")
    FAILURE_THRESHOLD = Whole(
        5, 1, 1000, "Consecutive failures of Redis after which the circuit opens."
    )
    RECOVERY_TIMEOUT = Seconds(
        30.0, 0.01, 3600, "How long a producer's circuit stays open before one call probes Redis."
    )
    RESET_TIMEOUT = Seconds(
        60.0, 0.01, 86400, "Age at which a failure no longer counts towards the threshold."
    )
    HEALTH_CHECK_INTERVAL = Seconds(
        30.0,
        0.01,
        3600,
        "How often a worker makes sure, while all is well, that Redis is the one it knows.",
    )
    ENQUEUE_TIMEOUT = Seconds(
        0.2, 0.01, 5, "How long an enqueue waits for Redis, connecting and replying included."
    )
    WORKER_TIMEOUT = Seconds(1.0, 0.01, 60, "How long a worker waits for a reply of Redis.")
    DATABASE_TIMEOUT = Seconds(
        3.0, 0.01, 60, "How long a statement of ours may wait for the database."
    )
    PUSH_DEADLINE = Seconds(
        60.0, 0.1, 3600, "Age after which Redis refuses a push that was sent but arrives late."
    )
    SETTLED_KEEP = Seconds(
        3600.0,
        0.1,
        604800,
        "How long Redis remembers that a job has ended. Longer than PUSH_DEADLINE.",
    )
    LEASE = Seconds(
        10.0, 0.1, 3600, "How long a worker may be silent before its jobs go to another."
    )
    HEARTBEAT_INTERVAL = Seconds(
        1.0, 0.01, 1200, "How often a worker reports itself. At most a third of LEASE."
    )
    PROBE_INTERVAL = Seconds(1.0, 0.01, 60, "How often a worker tries Redis during an outage.")
    DRAIN_BATCH = Whole(1000, 1, 10000, "Rows pushed back to Redis in one batch.")
    RESCUE_LIMIT = Whole(
        3, 1, 1000, "How often a job is taken over from a dead worker before it is a dead letter."
    )
    CONCURRENCY = Whole(
        1,
        1,
        256,
        "Work horses of one worker, each performing one job at a time.",
        environment="QUEUE_CONCURRENCY",
    )
    REMOVE_ON_COMPLETE = Whole(
        500,
        0,
        _MOST_DAYS * 86_400,
        "Seconds for which rq keeps its record of a finished job of a job type, unless its enqueue"
        " says otherwise; 0 for none. Goes before a worker's --results-ttl.",
        environment="QUEUE_REMOVE_ON_COMPLETE",
    )
    REMOVE_ON_FAIL = Whole(
        31_536_000,
        0,
        _MOST_DAYS * 86_400,
        "The same of a job that died; its dead letter stays in any case.",
        environment="QUEUE_REMOVE_ON_FAIL",
    )
    PREFETCH = Whole(
        64,
        1,
        1000,
        "Jobs that lie ready for a horse at most, while they take about a millisecond; longer ones"
        " go one at a time. So many short ones may run again when a worker is killed; 1 for none.",
    )
    HORSE_MAX_JOBS = Whole(
        10_000,
        1,
        1_000_000,
        "Jobs a work horse executes before a new one replaces it; 1 for a process a job, as in rq.",
    )
    HORSE_MAX_RSS = Whole(
        0,
        0,
        1_000_000,
        "MiB of memory at which a work horse is replaced, after its job; 0 for no limit.",
    )
    KILL_GRACE = Seconds(
        60.0, 0, 3600, "How long past its timeout a job may run before its horse is killed."
    )
    PRIORITIES = NumbersByName(
        {"critical": 15, "high": 10, "default": 5, "low": 1},
        "Priority that each queue stands for, 1 to 20; 5 for queues it does not name."
        " Workers take jobs in the order in which they name their queues.",
        named="queue name",
        numbers="priorities",
        minimum=LOWEST_PRIORITY,
        maximum=HIGHEST_PRIORITY,
    )
    CONCURRENCY_LIMITS = NumbersByName(
        {},
        "How many jobs of a function, named by its dotted path, may run at once, over all workers:"
        " an rq rate limit for jobs that bring none of their own. `unique=True` is refused for"
        " them, as by rq, unless they are scheduled.",
        named="a function's dotted path",
        numbers="numbers",
        minimum=1,
    )
    PAYLOAD_LIMIT = Whole(
        512 * 1024,
        1024,
        64 * 1024 * 1024,
        "Bytes, as JSON, that the payload of a job handler may have.",
    )
    DEAD_LETTER_RETENTION_DAYS = Whole(
        30, 0, _MOST_DAYS, "Days after which a dead letter that nobody dealt with is deleted."
    )
    DEAD_LETTER_RETENTION_BY_HANDLER = NumbersByName(
        {},
        "The same for the letters of single job handlers, by name, or functions, by dotted path.",
        named="a handler's name or a function's dotted path",
        numbers="days",
        minimum=0,
        maximum=_MOST_DAYS,
    )
    SETTLED_LETTER_RETENTION_DAYS = Whole(
        7, 0, _MOST_DAYS, "Days after which a letter that is recovered or discarded is deleted."
    )
    ARCHIVE_STORAGE = OptionalText(
        "",
        "Name of the storage, in STORAGES, that gets letters as gzipped JSON lines before they are"
        " deleted; empty for none.",
    )
    REDACT_KEYS = Names(
        (
            "password",
            "passwd",
            "secret",
            "token",
            "authorization",
            "api_key",
            "access_key",
            "private_key",
            "credential",
            "cookie",
            "credit_card",
            "iban",
        ),
        "Arguments whose names contain one of these are masked wherever letters are shown; case,"
        " underlines, dashes and blanks make no difference.",
    )
    HEALTH_LIMITS = NumbersByName(
        {
            "queue_age": 300,
            "backlog": 1000,
            "backlog_age": 300,
            "dead_letters": 10,
            "dead_letter_age": 86_400,
            "unprotected": 100,
            "reconcile_age": 300,
            "outage_age": 3600,
        },
        "What may be exceeded before the health report is degraded, in jobs and seconds; an outage"
        " of one store that is older than outage_age makes it critical. Limits it does not name"
        " stay as they are.",
        named="limit",
        numbers="numbers",
        minimum=0,
        closed=True,
    )
    HEALTH_STATUS_CODES = NumbersByName(
        {"healthy": 200, "degraded": 206, "critical": 503, "down": 503},
        "HTTP status of the health page by the report's status. Some load balancers take only 200"
        " for well; those not named stay as they are.",
        named="status",
        numbers="HTTP status codes",
        minimum=200,
        maximum=599,
        closed=True,
    )
    ALERT_CHANNELS = Names(
        ("log", "signal"),
        "Where alerts go: log, signal, mail (to ADMINS), webhook, apprise, or the dotted path of a"
        " function that takes an `alerts.Notice`. Empty for no alerts.",
    )
    ALERT_RULES_OFF = Names((), "Alert rules that are not looked at, by name.")
    ALERT_DELAYS = NumbersByName(
        {
            "redis_connection_failed": 0,
            "stores_failing": 10,
            "critical_dead_letter": 0,
            "degraded": 30,
            "queue_without_worker": 60,
            "dead_letters": 0,
            "dead_letter_old": 0,
            "fallback_backlog_late": 0,
            "unprotected": 0,
        },
        "Seconds for which the condition of an alert rule has to hold before it fires. Rules it"
        " does not name stay as they are; the limits themselves are HEALTH_LIMITS.",
        named="alert rule",
        numbers="seconds",
        minimum=0,
        maximum=86_400,
        closed=True,
    )
    ALERT_INTERVAL = Seconds(
        10.0, 0.2, 3600, "How often alert rules are looked at; outages and deaths are at once."
    )
    ALERT_CALM = Seconds(
        5.0, 0.2, 3600, "How long a condition has to be gone before its end is told."
    )
    ALERT_REMIND = Seconds(
        14_400.0, 0, 31_536_000, "Time between two reminders of what still fires; 0 for none."
    )
    ALERT_TIMEOUT = Seconds(10.0, 1, 60, "How long sending one notice may take.")
    ALERT_TRIES = Whole(
        6, 1, 100, "How often a notice is tried, at growing intervals, before it is given up."
    )
    ALERT_WEBHOOK_URL = OptionalText("", "Where the channel `webhook` posts to.")
    ALERT_WEBHOOK_SECRET = OptionalText(
        "", "What its posts are signed with, as `whsec_` with base64 or any other text."
    )
    ALERT_APPRISE_URLS = Names((), "Where the channel `apprise` sends to, as Apprise's URLs.")
    TRACING = Switch(
        False,
        "Whether enqueues and jobs are spans for OpenTelemetry; needs the extra `tracing`.",
    )
    API_TIMEOUT = Seconds(
        0.8, 0.1, 60, "How long a call of the REST API may take until it is answered with a 503."
    )
    API_THREADS = Whole(
        16, 1, 1000, "Calls of the REST API that one process works on at the same time."
    )
    API_SCOPE = OptionalText(
        "", "Dotted path of the `Scope` class that says what each user of the REST API may see."
    )
    METRICS_TOKEN = Secret(
        "",
        "What a Prometheus sends as `Authorization: Bearer …` to see the metrics page, besides"
        " users with the permission `view_metrics`; empty for these alone.",
    )
    METRICS_INTERVAL = Seconds(
        10.0,
        0,
        3600,
        "How often a process writes what it has counted to the database; 0 for not counting.",
    )
    METRICS_TYPES = Whole(
        100, 1, 1000, "Types of jobs that metrics tell apart, the first ones; the rest is `other`."
    )
    EXPORT_STORAGE = Text(
        "default",
        "Name of the storage, in STORAGES, that files of data:export are kept in; best one that no"
        " web server shows.",
    )
    EXPORT_DAYS = Whole(7, 1, 3650, "Days for which an exported file is kept.")
    EXPORT_SPOOL = OptionalText(
        "",
        "Folder, private to the workers of a machine, in which exports are written; what a killed"
        " one has written is gone on with. Empty for one in the system's temporary folder.",
    )
    EXPORT_PDF_ROWS = Whole(
        2000, 1, 100_000, "Rows that a pdf of data:export has at most; it says how many there are."
    )
    EXPORT_PDF_FONT = OptionalText(
        "",
        "A TrueType file with the letters that your data is written in, for pdf of data:export;"
        " empty for DejaVu Sans where the system has it, and what reportlab carries elsewhere.",
    )
    EXPORT_URL = OptionalText(
        "",
        "Where your site is, as in https://shop.example: goes before links in notifications;"
        " without it nobody can be told of exports by `notify`.",
    )
    NOTIFICATION_CHANNELS = Names(
        ("in_app", "email"),
        "Channels of a user:notification that names none, in the order in which they are tried.",
    )
    NOTIFICATION_URGENT_TYPES = Names(
        ("security",), "Types of notifications that do not wait for the end of quiet hours."
    )
    NOTIFICATION_LANGUAGE = OptionalText(
        "",
        "Where a user's language is: an attribute's name, or the dotted path of a function of the"
        " user; empty for LANGUAGE_CODE.",
    )
    NOTIFICATION_PHONE = OptionalText(
        "phone", "The same for a user's telephone number, as +4930123456."
    )
    NOTIFICATION_TIMEOUT = Seconds(
        10.0, 0.1, 60, "How long a push service or Twilio may take to answer."
    )
    NOTIFICATION_RECORD_DAYS = Whole(
        60,
        1,
        _MOST_DAYS,
        "Days for which is kept what went out by which channel. Longer than dead letters are: one"
        " that is requeued repeats nothing.",
    )
    PUSH_VAPID_KEY = Secret(
        "", "Private key by which push services know you: PEM, or raw in base64url."
    )
    PUSH_SUBJECT = OptionalText(
        "", "Whom push services may write to, as in mailto:ops@shop.example."
    )
    PUSH_PRIVATE_ADDRESSES = Switch(
        False,
        "Whether push endpoints may be http, or in private networks: for tests, never where users"
        " register endpoints.",
    )
    TWILIO_ACCOUNT = OptionalText("", "Your account's SID.")
    TWILIO_TOKEN = Secret("", "Its authentication token.")
    TWILIO_SENDER = OptionalText(
        "", "Number or name that sms come from, or a messaging service's SID."
    )
    TWILIO_URL = OptionalText("", "Another address for Twilio's API, as http://127.0.0.1:8080.")
    KEEP_FINISHED_UNTIL_FSYNC = Switch(
        False,
        "Keep the row of a finished job until Redis has written its end to disk, so that a power"
        " loss does not run it again; costs one UPDATE a job.",
    )

    FILE_STORAGES = FilePlaces(
        {},
        "Where `file:process` may read and write: storages, in STORAGES, each with the folders to"
        " `read` and the one to `write` outputs to, as in"
        " `{'default': {'read': ['uploads'], 'write': 'processed'}}`. Nothing else is touched.",
    )
    FILE_SIZE_LIMIT = Whole(
        100 * _MIB, 1024, 100_000 * _MIB, "Bytes of one file, and of all outputs made of it."
    )
    FILE_UNPACKED_LIMIT = Whole(
        500 * _MIB, 1024, 100_000 * _MIB, "Bytes that a zipped document may unpack to."
    )
    FILE_PIXELS = Whole(
        50_000_000,
        10_000,
        1_000_000_000,
        "Pixels of an image, of all frames of an animation, of a page or of a video's picture.",
    )
    FILE_PAGES = Whole(100, 1, 10_000, "Pages of a document that one operation takes.")
    FILE_VIDEO_SECONDS = Whole(600, 1, 86_400, "Length of a video.")
    FILE_TIMEOUT = Seconds(
        120.0, 0.1, 86_400, "How long all operations on one file may take, other programs included."
    )
    FILE_MEMORY = Whole(
        2048,
        256,
        1_000_000,
        "MiB of address space that each program has which decodes a file; LibreOffice needs the"
        " most.",
    )
    FILE_SCANNER = SocketAddress(
        "",
        "clamd, as `unix:/run/clamav/clamd.ctl` or `tcp://host:3310`: a file it has not found clean"
        " is not processed. Empty for no scan.",
    )
    FILE_SCAN_TIMEOUT = Seconds(60.0, 0.1, 3600, "How long the scan of one file may take.")
    MAIL_BACKENDS = BackendsByName(
        {},
        "Mailers that `email:send` may be told to use, by name, as"
        " `{'bulk': {'BACKEND': 'anymail.backends.amazon_ses.EmailBackend', 'OPTIONS': {}}}`."
        " `default` is Django's own unless it is named here; with Django 6.1 so are MAILERS.",
    )
    MAIL_SENDERS = Names(
        (),
        "Addresses, or `@domain`s, that mails may be sent from besides DEFAULT_FROM_EMAIL.",
    )
    MAIL_ENVELOPE_SENDER = Shaped(
        "",
        "Whom bounces go to; empty for the sender. `{job}` in it becomes a token of the job, and"
        " `{recipient}` the recipient (`bounces+{recipient}@example.com`; VERP): each is then told"
        " apart by SMTP.",
        pattern=r"(?:[A-Za-z0-9.=_+-]|\{job\}|\{recipient\})+@[A-Za-z0-9.-]+",
        shape="an address, as 'bounces+{job}@example.com'",
    )
    MAIL_DOMAIN = Shaped(
        "",
        "Domain of each mail's Message-ID, which is the same in all attempts of a job; empty for"
        " the sender's.",
        pattern=r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?",
        shape="a domain, as 'mail.example.com'",
    )
    MAIL_TEMPLATES = Text("mail", "Folder of the project's templates that mails are made of.")
    MAIL_STORAGES = FoldersByStorage(
        {},
        "Where attachments may come from: storages, in STORAGES, each with folders, as"
        " `{'default': ['invoices']}`; an empty name is all of a storage. Nothing else is taken.",
    )
    MAIL_SIZE_LIMIT = Whole(
        10 * _MIB, 1024, 1024 * _MIB, "Bytes of a mail's text, HTML and attachments together."
    )
    MAIL_TIMEOUT = Seconds(
        20.0, 0.1, 45, "How long to wait for each answer of a mail server; the job has 60 seconds."
    )

    CLEANUP_ROOTS = Folders(
        {},
        "Folders in which `cleanup` may remove files, by the names that its payloads give them, as"
        " in `{'uploads': '/srv/app/tmp'}`. Nothing outside of them is touched.",
    )

    def outbox_for(self, queue_name: str) -> bool:
        """Tell whether a queue's jobs have a row from the start."""
        choice = self.OUTBOX
        return choice if isinstance(choice, bool) else choice.get(queue_name, True)

    def priority_for(self, queue_name: str) -> int:
        """Return the priority of a queue's jobs."""
        return self.PRIORITIES.get(queue_name, Priority.NORMAL)

    def health_limits(self) -> dict[str, int]:
        """Return every limit of the health report."""
        return {**type(self).HEALTH_LIMITS.default, **self.HEALTH_LIMITS}

    def http_status_for(self, status: str) -> int:
        """Return the HTTP status of the health page."""
        return {**type(self).HEALTH_STATUS_CODES.default, **self.HEALTH_STATUS_CODES}[status]

    def alert_delay(self, rule: str) -> int:
        """Return for how many seconds the condition of an alert rule has to hold."""
        return {**type(self).ALERT_DELAYS.default, **self.ALERT_DELAYS}[rule]

    @classmethod
    def table(cls) -> dict[str, Setting[object]]:
        """Return every setting by key, in the order of this class."""
        return {name: item for name, item in vars(cls).items() if isinstance(item, Setting)}

    def cross_problems(self) -> list[str]:
        """Say which rules between valid settings are broken."""
        problems = []
        if self.SETTLED_KEEP <= self.PUSH_DEADLINE:
            # A push could arrive after Redis has forgotten that the job ended, and run it again.
            problems.append(
                f"{NAME}['SETTLED_KEEP'] must be more than PUSH_DEADLINE,"
                f" but {self.SETTLED_KEEP:g} <= {self.PUSH_DEADLINE:g}"
            )
        if round(self.HEARTBEAT_INTERVAL * 3 - self.LEASE, 9) > 0:
            # Two late heartbeats must not make a live worker look dead.
            problems.append(
                f"{NAME}['HEARTBEAT_INTERVAL'] must be at most a third of LEASE,"
                f" but {self.HEARTBEAT_INTERVAL:g} > {self.LEASE:g} / 3"
            )
        return problems


settings = Settings()
