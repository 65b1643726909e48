"""inspect: what is really in a video's segments and frames, for checks of results and contact sheets. It makes nothing."""
