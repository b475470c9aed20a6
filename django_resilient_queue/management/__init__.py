"""What is run with `manage.py`."""
