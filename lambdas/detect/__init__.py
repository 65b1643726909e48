"""Things in a picture and where they are: the detect step, for Lambda and for ECS, and its models."""
