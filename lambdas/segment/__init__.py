"""Videos cut into segments, with texts burnt in where they are wanted: the segment step, for Lambda and for ECS."""
