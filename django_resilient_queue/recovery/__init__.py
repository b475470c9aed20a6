"""What keeps the two stores in line: each housekeeper is one module with one duty."""
