"""System checks: what is wrong with the project's settings, and what they leave uncovered.

They read settings and import classes, and need neither Redis nor the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import chain
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.db import connections
from rq.utils import import_attribute

from .conf import Settings, settings
from .exceptions import MissingExtra
from .handlers.registry import missing_modules, registry
from .setting.base import NAME

TAG = "resilient_queue"


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Run every check of CHECKS."""
    return list(chain.from_iterable(check() for check in CHECKS))


def check_extras(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """I001: job handlers that lack a package. They may not be wanted: told with ``--deploy``."""
    return list(_missing_extras())


def check_keys() -> Iterator[CheckMessage]:
    """E001: a key that is no setting, hence without effect."""
    known = list(Settings.table())
    for key in _project():
        if key not in known:
            yield _error(1, f"{NAME} has an unknown key {key!r}.", _nearest(key, known))


def check_types() -> Iterator[CheckMessage]:
    """E002: a value of the wrong type."""
    project: object = getattr(django_settings, NAME, None)
    if project is not None and not isinstance(project, Mapping):
        yield _error(2, f"{NAME} must be a dict, not {type(project).__name__}.")
    for key, setting in Settings.table().items():
        if key in _project() and (problem := setting.type_problem(_project()[key])):
            yield _error(2, f"{problem}.", setting.help_text)
        if key not in _project():
            try:
                setting.unset()
            except ImproperlyConfigured as error:  # from the environment
                yield _error(2, str(error), setting.help_text)


def check_limits() -> Iterator[CheckMessage]:
    """E003: a value out of range, or two that contradict each other."""
    for key, setting in Settings.table().items():
        value = _project().get(key, setting.default)
        if setting.has_type(value) and (problem := setting.range_problem(value)):
            yield _error(3, f"{problem}.", setting.help_text)
    try:
        problems = settings.cross_problems()
    except ImproperlyConfigured:
        return  # Each value's own problem has been reported above or by E002.
    yield from (_error(3, f"{problem}.") for problem in problems)


def check_database() -> Iterator[CheckMessage]:
    """E004: an alias that is not in DATABASES."""
    alias, known = _project().get("DATABASE"), list(connections)
    if isinstance(alias, str) and alias and alias not in known:
        message = f"{NAME}['DATABASE'] is {alias!r}, which is not in DATABASES."
        yield _error(4, message, _nearest(alias, known))


def check_storage() -> Iterator[CheckMessage]:
    """E009: a storage that is not in STORAGES."""
    known = list(storages.backends)
    for key in ("ARCHIVE_STORAGE", "EXPORT_STORAGE"):
        alias = _project().get(key)
        if isinstance(alias, str) and alias and alias not in known:
            message = f"{NAME}[{key!r}] is {alias!r}, which is not in STORAGES."
            yield _error(9, message, _nearest(alias, known))


def check_file_storages() -> Iterator[CheckMessage]:
    """E011: files are to be processed in a storage that is not in STORAGES."""
    places, known = _project().get("FILE_STORAGES"), list(storages.backends)
    for alias in places if isinstance(places, Mapping) else ():
        if alias not in known:
            message = f"{NAME}['FILE_STORAGES'] names {alias!r}, which is not in STORAGES."
            yield _error(11, message, _nearest(alias, known))


def check_mail() -> Iterator[CheckMessage]:
    """E012: mail is to be sent by what can't be imported, or with files of no storage."""
    backends, folders = _project().get("MAIL_BACKENDS"), _project().get("MAIL_STORAGES")
    for name, backend in backends.items() if isinstance(backends, Mapping) else ():
        path = backend.get("BACKEND") if isinstance(backend, Mapping) else None
        if isinstance(path, str) and _resolve(path) is None:
            message = f"{NAME}['MAIL_BACKENDS'][{name!r}] is {path!r}, which cannot be imported."
            yield _error(12, message, "Import it in a shell to see why.")
    known = list(storages.backends)
    for alias in folders if isinstance(folders, Mapping) else ():
        if alias not in known:
            message = f"{NAME}['MAIL_STORAGES'] names {alias!r}, which is not in STORAGES."
            yield _error(12, message, _nearest(alias, known))


def check_queues() -> Iterator[CheckMessage]:
    """E005: no queues, without which django-rq can do nothing."""
    queues: object = getattr(django_settings, "RQ_QUEUES", None)
    if not isinstance(queues, Mapping) or not queues or len(_queues()) < len(queues):
        hint = "Name at least one queue, e.g. RQ_QUEUES = {'default': {'URL': '…'}}."
        yield _error(5, "RQ_QUEUES is missing, empty, or not a dict of dicts.", hint)


def check_queue_names() -> Iterator[CheckMessage]:
    """E006: a setting for a queue that does not exist."""
    queues = list(_queues())
    for key in ("OUTBOX", "PRIORITIES"):
        by_queue = _project().get(key)
        for name in by_queue if isinstance(by_queue, Mapping) and queues else ():
            if name not in queues:
                message = f"{NAME}[{key!r}] names the queue {name!r}, which is not in RQ_QUEUES."
                yield _error(6, message, _nearest(name, queues))


def check_installed() -> Iterator[CheckMessage]:
    """E007: django-rq is not installed in the project."""
    if not apps.is_installed("django_rq"):
        hint = "Add it: this package extends its queues and its commands."
        yield _error(7, "'django_rq' is not in INSTALLED_APPS.", hint)


def check_class_paths() -> Iterator[CheckMessage]:
    """E008: a queue or worker class that cannot be had."""
    for where, value in _class_settings():
        if _resolve(value) is None:
            message = f"{where} is {value!r}, which cannot be imported or is not a class."
            yield _error(8, message, "Import it in a shell to see why.")


def check_queue_classes() -> Iterator[CheckMessage]:
    """W001: queues whose class is not ours, hence not covered."""
    from .queues import ResilientQueue

    uncovered: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, config in _queues().items():
        where, holder = f"RQ_QUEUES[{name!r}]", config
        if "QUEUE_CLASS" not in config:
            where, holder = "RQ", _rq()
        value = holder.get("QUEUE_CLASS", "django_rq.queues.DjangoRQ")
        found = _resolve(value)
        if found is not None and not issubclass(found, ResilientQueue):
            uncovered[where, found.__qualname__].append(repr(name))
    for (where, class_name), names in uncovered.items():
        yield _warning(
            1,
            f"{where}['QUEUE_CLASS'] is {class_name}, not a ResilientQueue: jobs enqueued to"
            f" {', '.join(names)} have no outbox, and enqueue fails while Redis is away.",
            "Derive the class from django_resilient_queue.queues.ResilientQueue.",
        )


def check_worker_class() -> Iterator[CheckMessage]:
    """W002: workers whose class is not ours."""
    from .worker import ResilientWorker

    found = _resolve(_rq().get("WORKER_CLASS", "rq.Worker"))
    if found is not None and not issubclass(found, ResilientWorker):
        yield _warning(
            2,
            f"RQ['WORKER_CLASS'] is {found.__qualname__}, not a ResilientWorker: its workers"
            " execute nothing while Redis is away, do not drain the database, and record no"
            " dead letters.",
            "Derive the class from django_resilient_queue.worker.ResilientWorker.",
        )


def check_async() -> Iterator[CheckMessage]:
    """W003: queues without workers."""
    for name, config in _queues().items():
        if not config.get("ASYNC", True):
            yield _warning(
                3,
                f"RQ_QUEUES[{name!r}]['ASYNC'] is off: its jobs run inside the caller and are"
                " lost when the caller dies.",
                "Remove the key where jobs must not be lost; it is meant for tests.",
            )


def check_limited_functions() -> Iterator[CheckMessage]:
    """W004: a limit for a function that there is not, hence without effect."""
    limits = _project().get("CONCURRENCY_LIMITS")
    for path in limits if isinstance(limits, Mapping) else ():
        if isinstance(path, str) and _imported(path) is None:
            message = f"{NAME}['CONCURRENCY_LIMITS'] names {path!r}, which cannot be imported."
            yield _warning(4, message, "Name the function as its module and name, with dots.")


def check_handler_queues() -> Iterator[CheckMessage]:
    """E010: a job handler whose queue does not exist."""
    queues = list(_queues())
    for handler in registry if queues else ():
        if handler.queue_name is not None and handler.queue_name not in queues:
            message = (
                f"The job handler {handler.name!r} names the queue {handler.queue_name!r}, which is"
                " not in RQ_QUEUES."
            )
            yield _error(10, message, _nearest(handler.queue_name, queues))


def check_alerts() -> Iterator[CheckMessage]:
    """E030: an alert channel that can't send, for want of a setting or at all."""
    from .alerts.channels import problem_of

    channels = _project().get("ALERT_CHANNELS", Settings.ALERT_CHANNELS.default)
    for name in channels if isinstance(channels, list | tuple) else ():
        if problem := problem_of(str(name)):
            yield _error(30, f"{NAME}['ALERT_CHANNELS'] has {name!r}: {problem}.")


def check_alert_rules() -> Iterator[CheckMessage]:
    """E031: an alert rule that there is not, switched off without effect."""
    known = list(Settings.ALERT_DELAYS.default)
    off = _project().get("ALERT_RULES_OFF")
    for name in off if isinstance(off, list | tuple) else ():
        if name not in known:
            message = f"{NAME}['ALERT_RULES_OFF'] names {name!r}, which is no alert rule."
            yield _error(31, message, _nearest(name, known))


def check_tracing() -> Iterator[CheckMessage]:
    """E034: spans that are wanted and can't be made."""
    if _project().get("TRACING") is True and not find_spec("opentelemetry"):
        message = f"{NAME}['TRACING'] is True, but opentelemetry-api is not installed."
        yield _error(34, message, 'pip install "django-resilient-queue[tracing]"')


def check_time_zones() -> Iterator[CheckMessage]:
    """E035: moments without a time zone, which the tables of jobs do not take."""
    if not django_settings.USE_TZ:
        message = "USE_TZ is False: a job that dies or is scheduled may fail to be stored."
        yield _error(35, message, "Set USE_TZ = True, as Django does by default.")


CHECKS: Sequence[Callable[[], Iterator[CheckMessage]]] = (
    check_keys,
    check_types,
    check_limits,
    check_database,
    check_storage,
    check_file_storages,
    check_mail,
    check_queues,
    check_queue_names,
    check_installed,
    check_class_paths,
    check_queue_classes,
    check_worker_class,
    check_async,
    check_limited_functions,
    check_handler_queues,
    check_alerts,
    check_alert_rules,
    check_tracing,
    check_time_zones,
)


def _missing_extras() -> Iterator[CheckMessage]:
    for handler in registry:
        if missing := missing_modules(handler):
            problem, _, remedy = str(MissingExtra(handler.name, missing, handler.extra)).partition(
                ": "
            )
            message = f"Jobs of {handler.name!r} are refused: {problem}."
            yield checks.Info(message, hint=remedy, id="django_resilient_queue.I001")


def _project() -> Mapping[str, object]:
    value: object = getattr(django_settings, NAME, None)
    return value if isinstance(value, Mapping) else {}


def _rq() -> Mapping[str, object]:
    value: object = getattr(django_settings, "RQ", None)
    return value if isinstance(value, Mapping) else {}


def _queues() -> Mapping[str, Mapping[str, object]]:
    value: object = getattr(django_settings, "RQ_QUEUES", None)
    if not isinstance(value, Mapping):
        return {}
    return {name: config for name, config in value.items() if isinstance(config, Mapping)}


def _class_settings() -> Iterator[tuple[str, object]]:
    for key in ("QUEUE_CLASS", "WORKER_CLASS"):
        if key in _rq():
            yield f"RQ[{key!r}]", _rq()[key]
    for name, config in _queues().items():
        if "QUEUE_CLASS" in config:
            yield f"RQ_QUEUES[{name!r}]['QUEUE_CLASS']", config["QUEUE_CLASS"]


def _resolve(value: object) -> type | None:
    found = _imported(value) if isinstance(value, str) else value
    return found if isinstance(found, type) else None


def _imported(path: str) -> object:
    # rq's own import, so that what rq finds is found, nested classes included.
    try:
        return import_attribute(path)
    except ValueError:
        return None


def _nearest(word: object, known: Sequence[str]) -> str:
    by_capitals = {each.upper(): each for each in known}
    near = get_close_matches(str(word).upper(), by_capitals, n=1, cutoff=0.4)
    return f"Did you mean {by_capitals[near[0]]!r}?" if near else f"Known: {', '.join(known)}."


def _error(number: int, message: str, hint: str | None = None) -> CheckMessage:
    return checks.Error(message, hint=hint, id=f"django_resilient_queue.E{number:03}")


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return checks.Warning(message, hint=hint, id=f"django_resilient_queue.W{number:03}")
