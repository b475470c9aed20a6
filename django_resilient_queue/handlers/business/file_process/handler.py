"""The job type file:process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.checks import register

from ....checks import TAG
from ...registry import job_handler
from .batch import Batch
from .checks import check_files
from .schemas import FileProcess

_HOUR = 3600  # a batch of a hundred; one file has FILE_TIMEOUT


@job_handler(
    "file:process", schema=FileProcess, timeout=_HOUR, requires=("PIL", "magic"), extra="files"
)
def process(data: Mapping[str, Any]) -> dict[str, Any]:
    """Do each operation to each file; return ``files``, an outcome each, and how many failed."""
    return Batch(data).run()


register(check_files, TAG, deploy=True)
