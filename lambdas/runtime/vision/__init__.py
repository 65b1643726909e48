"""What the steps share that look at pictures with embedded models; nothing else of the runtime imports numpy or onnxruntime."""
