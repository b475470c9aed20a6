"""email:send: one mail to some recipients, through any of Django's mail backends.

`schemas` says what a payload may hold, `letter` makes the message of it, `delivery` hands it to a
`transport` and writes down in a `record` who has got it, so that nobody gets it again at a retry.
"""
