"""probe: what an upload is, from its header. What it can't vouch for is rejected here, before anything decodes it."""
