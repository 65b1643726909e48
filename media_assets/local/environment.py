"""What the stack's processes get of our environment: enough to run and to reach a model endpoint, and no secret."""

from __future__ import annotations

import os
from collections.abc import Mapping

_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"}
_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *_PROXIES,
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def base_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The harmless part of `source`, by default of our own environment."""
    source = os.environ if source is None else source
    return {name: source[name] for name in _PASSED if name in source} | proxy_bypass(source)


def proxy_bypass(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that keep requests to this machine away from a proxy; none if there is no proxy."""
    source = os.environ if source is None else source
    if not _PROXIES & source.keys():
        return {}
    hosts = [*filter(None, source.get("NO_PROXY", source.get("no_proxy", "")).split(","))]
    bypass = ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])
    return {"NO_PROXY": bypass, "no_proxy": bypass}
