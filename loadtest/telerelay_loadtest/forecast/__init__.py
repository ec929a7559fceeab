"""What a morning would come to that nobody has played: a simulation of nodes, by what runs have measured."""
