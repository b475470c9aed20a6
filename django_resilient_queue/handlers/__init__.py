"""Job types by name: how they are registered, retried and performed; the shipped ones."""
