"""What a Prometheus would read."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from django_resilient_queue.metrics import exposition, new_collector
from tests.conftest import poll

JOB = {"queue": "default", "job_type": "tests.jobs.succeed", "backend": "redis"}


class Scrape:
    """The samples of a text, or of a scrape that both stores have answered."""

    def __init__(self, text: str | None = None) -> None:
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        if text is not None:
            self.read(text)
        else:  # a machine that is busy may take longer than the bound
            poll(lambda: self.read(page()) and 0 not in self.of("drq_up", "store").values())

    @classmethod
    def once(cls) -> Scrape:
        """The first that comes, whoever has answered."""
        return cls(page())

    def read(self, text: str) -> bool:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        return True

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def of(self, name: str, label: str) -> Mapping[str, float]:
        """The samples of a metric by one of its labels."""
        return {
            dict(labels)[label]: value
            for (each, labels), value in self.samples.items()
            if each == name
        }


def page() -> str:
    return exposition(new_collector().ask())[0].decode()
