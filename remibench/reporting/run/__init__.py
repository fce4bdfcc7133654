"""What a run was made of, and what came out of every part of it."""
