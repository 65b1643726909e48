"""What the steps that open videos share: which containers there are, and which demuxer each is opened with."""
