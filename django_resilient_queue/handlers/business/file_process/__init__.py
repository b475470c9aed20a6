"""file:process: images, videos and documents made smaller, converted, looked into.

The worker's own process (`handler`, `batch`, `places`, `scanner`, `sandbox`) copies a file out of
its storage and saves what comes of it. Nothing of its content is decoded there: that is done by a
program of its own with little memory and time (`program`, and the modules that it imports).
"""
