"""``cleanup``: what nobody needs any more, found, told and removed."""
