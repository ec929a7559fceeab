"""What a cluster is watched with, as code: dashboards, recording rules, alerts.

`python -m grafana` writes the files.
"""
