"""What the pages of dead letters are made of; `admin.dead_letter` puts it together."""
