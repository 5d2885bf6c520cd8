# SPDX-License-Identifier: Apache-2.0
"""The certificate of the api itself, which is loaded again when it is renewed."""

import datetime as dt
import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.bootstrap.startup_checks import certificate_error
from bridge.events import Observer
from bridge.process.background import BackgroundThread

_LOG = logging.getLogger(__name__)

_CHECK_INTERVAL = dt.timedelta(seconds=1)


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # An empty password, so that OpenSSL does not prompt for one.
    context.load_cert_chain(certificate, key, password="")
    return context


class CertificateWatcher:
    """Has the certificate loaded again when its files have changed. Open connections keep the former one."""

    def __init__(self, certificate: Path, key: Path, load: Callable[[Path, Path], object]) -> None:
        """``load`` gets copies that match, in a thread. It raises if it can't load them, and is called again then."""
        self._files = certificate, key
        self._load = load
        #: The times of the files that were last loaded, and of those that were last found invalid.
        self._loaded_mtimes = self._rejected_mtimes = self._read_mtimes()

    def start(self, observe: Observer) -> None:
        """Look at the files once a second, as long as the process lives."""
        BackgroundThread("certificate", self.check, interval_s=_CHECK_INTERVAL.total_seconds(), observe=observe).start()

    def check(self) -> None:
        """Have the files loaded if they have changed and match. Otherwise log why not."""
        mtimes = self._read_mtimes()
        # Two files are never replaced at once, so they are loaded when neither changes any more and they match.
        if mtimes in (self._loaded_mtimes, self._rejected_mtimes) or mtimes != self._read_mtimes_after_pause():
            return
        # Copies, because a context that fails to load a changed file can't be used any more.
        with _copy_in_memory(self._files[0]) as certificate, _copy_in_memory(self._files[1]) as key:
            reason = certificate_error(certificate, key)
            if reason is None:
                self._load(certificate, key)
                self._loaded_mtimes = mtimes
                return
        _LOG.warning("certificate_not_loaded", extra={"fields": {"reason": reason}})
        self._rejected_mtimes = mtimes

    def _read_mtimes_after_pause(self) -> list[float]:
        time.sleep(_CHECK_INTERVAL.total_seconds() / 2)
        return self._read_mtimes()

    def _read_mtimes(self) -> list[float]:
        return [_mtime(path) for path in self._files]


@contextmanager
def _copy_in_memory(path: Path) -> Iterator[Path]:
    """Yield the path of a copy that is on no disk (memfd_create(2)), because one of the files is a private key."""
    descriptor = os.memfd_create(path.name)
    try:
        os.write(descriptor, path.read_bytes())
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
