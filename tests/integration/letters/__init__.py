"""Dead letters in the admin."""
