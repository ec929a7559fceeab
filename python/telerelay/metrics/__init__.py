"""What does a node count, and how do monitoring systems and people read it?"""
