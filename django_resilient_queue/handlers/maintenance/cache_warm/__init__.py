"""``cache:warm``: values computed before somebody waits for them."""
