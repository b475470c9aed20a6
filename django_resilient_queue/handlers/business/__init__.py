"""Job types that do a project's work: mail, notifications, exports, files."""
