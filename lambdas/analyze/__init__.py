"""What a picture shows: the analyze step, its providers and the shape of their answer."""
