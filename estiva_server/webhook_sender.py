"""Sends deliveries to webhooks: over HTTP, with limits on time, size and where it may go."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from auth.fetching import FetchError, post
from registry.events.delivering import AT_ONCE, DeliveryError


class WebhookSender:
    """A `Sender` with threads of its own, so that a receiver that hangs keeps nothing else waiting."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")

    async def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """See `Sender.send`."""
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: post(url, content, headers, private=self._private)
            )
        except FetchError as error:
            raise DeliveryError(str(error)) from None

    def close(self) -> None:
        """End the threads when what they send has been answered."""
        self._threads.shutdown()
