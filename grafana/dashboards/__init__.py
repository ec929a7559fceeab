"""The dashboards: one file each, in the words of `panels`."""
