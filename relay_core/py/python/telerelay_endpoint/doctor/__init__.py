"""Is this machine fit for what it is to do? The checks that node, agent and client share."""
