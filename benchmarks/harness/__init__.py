"""The parts of `benchmarks/faults.py`. Nothing here imports the package under test."""
