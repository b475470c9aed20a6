"""``data:export``: registered datasets as csv, json, xlsx or pdf, and a user's data as a zip."""
