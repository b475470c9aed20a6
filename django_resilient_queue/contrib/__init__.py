"""What other packages are served with; each module needs the one that it is for."""
