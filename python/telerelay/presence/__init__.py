"""Where an agent's ready connection waits: the contract and its implementations."""
