"""The Apprise channel: DingTalk, Feishu, WeCom, mail, SMS gateways and whatever else Apprise speaks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat

from hexi.kernel.case import Rung
from hexi.kernel.clock import SECOND, Clock, Duration
from hexi.kernel.response import Notice, Receipt, UndeliveredError

_HOLE = "{to}"
_LOCAL = frozenset({"dbus", "file", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
"""Services that act on this machine; an address in the directory must not reach them."""


class AppriseChannel:
    """Sends each notice by an Apprise object of its own, on threads of its own: Apprise blocks.

    ``template`` is an Apprise URL with ``{to}`` where the address goes, or a fixed one such as a group's;
    without a template the address is itself the URL.
    """

    def __init__(
        self, clock: Clock, timeout: Duration, template: str | None = None, threads: int = 64
    ) -> None:
        self._clock = clock
        self._template = template
        # Half for connecting and half for reading, so that a thread is not held beyond the time limit.
        self._socket_seconds = timeout / SECOND / 2
        self._asset = AppriseAsset(app_id="hexi", async_mode=False, http_redirects=False)
        self._threads = ThreadPoolExecutor(threads, "apprise")
        # Apprise loads its services with the first address, for half a second: no alarm shall wait for it.
        self._threads.submit(Apprise.instantiate, "json://127.0.0.1")

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """L1 when Apprise says that the service took it; it tells neither why not nor anything more."""
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._threads, self._send, notice, link):
            raise UndeliveredError("the service did not take it")
        return Receipt(notice_id=notice.id, at=self._clock.now(), rung=Rung.HANDED_OVER)

    async def close(self) -> None:
        """Start nothing more; threads that still wait for a service end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, notice: Notice, link: str | None) -> bool:
        service = self._service(notice.address)
        body = "\n".join(part for part in (notice.text, link) if part)
        return bool(service.notify(body=body, body_format=NotifyFormat.TEXT))

    def _service(self, address: str) -> NotifyBase:
        url = self._template.replace(_HOLE, quote(address, safe="")) if self._template else address
        service = Apprise.instantiate(url, asset=self._asset)
        if not isinstance(service, NotifyBase) or url.partition(":")[0].lower() in _LOCAL:
            raise UndeliveredError("the address is not one that Apprise can send to", permanent=True)
        service.socket_connect_timeout = service.socket_read_timeout = self._socket_seconds
        return service
