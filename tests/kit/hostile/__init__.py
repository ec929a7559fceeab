"""A relay node against which the real agent and client have to hold, and what they need around them.

`node` is the node. `certified` mints what enrolment would have given, `endpoints` runs the real agent and
client towards it, `desktop` stands behind the agent, `world` puts all of them together.
"""
