"""Several servers in one address of a database, as libpq writes them."""

from __future__ import annotations

import re

_SEVERAL = re.compile(r"(?P<before>postgres(?:ql)?(?:\+\w+)?://(?:[^/@]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)")


def spread(url: str) -> str:
    """``postgresql://user@a,b:5433/hexi`` with its servers in the query, where every reader finds them.

    Of several, the one that can be written to is used unless ``target_session_attrs`` says otherwise.
    """
    several = _SEVERAL.match(url)
    if several is None:
        return url
    path, _, query = url[several.end() :].partition("?")
    parts = [server.partition(":") for server in several["hosts"].split(",")]
    hosts, ports = ",".join(host for host, _, _ in parts), ",".join(port or "5432" for _, _, port in parts)
    words = [query] * bool(query) + [f"host={hosts}&port={ports}"]
    if "target_session_attrs=" not in query:
        words.append("target_session_attrs=read-write")
    return f"{several['before']}{path}?{'&'.join(words)}"
