"""Recordings of a real viewer in front of a real Xvnc, from which the ready screen models are fitted.

`NAME.csv`: when how much passed which way, nothing else. `python -m tests.bench.recordings` makes them anew.
"""
