"""What the stack's processes get of our environment: enough to run and to reach a model endpoint, and no secret."""

from __future__ import annotations

import os
from collections.abc import Mapping

_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
)
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"}
_LOOPBACK = "127.0.0.1,localhost,::1"


def base_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The harmless part of `source`, by default of our own environment; a proxy never gets requests to this machine."""
    source = os.environ if source is None else source
    passed = {name: source[name] for name in _PASSED if name in source}
    if _PROXIES & passed.keys():
        beyond_proxy = ",".join(filter(None, (source.get("NO_PROXY", source.get("no_proxy")), _LOOPBACK)))
        passed |= {"NO_PROXY": beyond_proxy, "no_proxy": beyond_proxy}
    return passed
