"""frames: pictures of a video that stand for its shots, and among them its poster, for Lambda and for ECS."""
