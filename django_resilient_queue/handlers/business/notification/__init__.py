"""``user:notification``: a message to a user, by the channels that they want."""
