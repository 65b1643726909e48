"""Where hashes of the log are kept out of reach of whoever can change it: a bucket under Object Lock."""
