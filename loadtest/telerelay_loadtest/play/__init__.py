"""A plan that is played: visits begin at their moments, and what happens is taken down."""
