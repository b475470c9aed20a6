"""The same jobs for other queues: each module is what its users would write."""
