"""The demo: an order shop under load, whose Redis is killed and comes back empty."""
