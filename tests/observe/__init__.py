"""Everything that watches a cluster, beside a demo under gentle load: `make observe`."""
