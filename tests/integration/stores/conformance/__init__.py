"""One contract, `stores/base.py`, kept by both stores; what an operator sees is the same word."""
