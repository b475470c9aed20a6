"""python -m rivals.fill MODULE COUNT: enqueue COUNT jobs for one of them, between marks."""

from __future__ import annotations

import sys
from importlib import import_module

import_module(f"rivals.{sys.argv[1]}").fill(int(sys.argv[2]))
