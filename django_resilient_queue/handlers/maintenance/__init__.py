"""Job types that keep a project in order: caches warmed, old things cleaned away."""
