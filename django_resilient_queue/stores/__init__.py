"""Where jobs wait: Redis in rq's own keys, and the project's database. One contract, `base.py`."""
