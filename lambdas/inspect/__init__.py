"""inspect: what is really in a video's segments and frames, for the checks of results. It makes nothing."""
