"""A shop that knows django_rq and nothing of django_resilient_queue."""
