"""Is this machine fit to run a relay node, and what mends it where it is not?"""
