"""The shipped job types: each module registers its own when it is imported."""

from __future__ import annotations
