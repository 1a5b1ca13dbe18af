"""File operations of the store and of scratch folders.

Each goes through `os`, so that tests can fail or kill the process at any of them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import mmap
import os
import re
import secrets
import shutil
import stat
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ._errors import TableError
from ._npy import CHUNK
from ._validate import Checks

fcntl: Any = None  # Windows: renames are atomic, but publishers are not ordered and leftovers stay
with contextlib.suppress(ImportError):
    fcntl = importlib.import_module("fcntl")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
# Names reserved by the store or by Windows.
_TAKEN = {"latest", "con", "prn", "aux", "nul", *(f"{p}{i}" for p in ("com", "lpt") for i in range(1, 10))}
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_DIRECT = getattr(os, "O_DIRECT", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # a FIFO where a file should be must not hang the reader
_BY_FD = os.open in os.supports_dir_fd
LARGE = 16 << 20  # bytes from which a file is worth a second thread and direct I/O
_BUFFER = 2 << 20  # a multiple of any disk's block
_AHEAD = 2  # blocks being read while one is hashed


def check_name(parameter: str, check: Checks, value: object) -> str:
    """A name that is one plain path component everywhere: no separator, no leading dot, nothing reserved."""
    rule = "a name of letters, digits, '.', '_' and '-' that starts with a letter or digit (at most 127)"
    if not isinstance(value, str):
        raise check.type_error(parameter, rule, value)
    if not _NAME.fullmatch(value) or value.endswith(".") or value.split(".")[0].lower() in _TAKEN:
        raise check.value_error(parameter, rule, value)
    return str(value)


def write_file(path: Path, chunks: Sequence[bytes | memoryview]) -> tuple[str, int]:
    """Create `path`, which must not exist, with these bytes; returns (sha256, size) once they are on the disk.

    A large file bypasses the page cache where the system allows it (O_DIRECT): writing a new version then evicts
    nothing, least of all the version being served.
    """
    pieces = [memoryview(c)[i : i + CHUNK] for c in chunks for i in range(0, len(c), CHUNK)]
    size = sum(map(len, pieces))
    sha = hashlib.sha256()
    large = size >= LARGE
    ended = threading.Event()
    hashing = threading.Thread(target=_update, args=(sha, pieces, ended))
    fd = _create(path, direct=large)
    try:
        hashing.start() if large else hashing.run()
        _write_past_the_cache(fd, pieces) if large else _write(fd, pieces)
        os.fsync(fd)
    except BaseException:
        ended.set()  # Ctrl-C, or a full disk, does not wait for the hash of the rest
        raise
    finally:
        if large:
            hashing.join()
        os.close(fd)
    return sha.hexdigest(), size


def hash_of(data: Any) -> str:
    """sha256 of bytes or a map of a file, in pieces between which Ctrl-C is heard."""
    sha, view = hashlib.sha256(), memoryview(data)
    for start in range(0, len(view), CHUNK):
        sha.update(view[start : start + CHUNK])
    return sha.hexdigest()


def _update(sha: Any, pieces: Sequence[memoryview], ended: threading.Event) -> None:
    for piece in pieces:
        if ended.is_set():
            return
        sha.update(piece)


def _create(path: Path, *, direct: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
    if direct and _DIRECT:
        try:
            return os.open(path, flags | _DIRECT, 0o666)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            with contextlib.suppress(FileNotFoundError):  # some systems create the file before they refuse
                os.unlink(path)
    return os.open(path, flags, 0o666)


def _write(fd: int, pieces: Iterable[memoryview]) -> None:
    for piece in pieces:
        done = 0
        while done < len(piece):
            done += os.write(fd, piece[done:])


def _write_past_the_cache(fd: int, pieces: Sequence[memoryview]) -> None:
    """Whole blocks from a page-aligned buffer, as O_DIRECT needs; the rest the usual way."""
    buffer = memoryview(mmap.mmap(-1, _BUFFER))  # unmapped with its last reference: errors hold one
    filled, direct = 0, True
    for piece in pieces:
        taken = 0
        while taken < len(piece):
            more = min(_BUFFER - filled, len(piece) - taken)
            buffer[filled : filled + more] = piece[taken : taken + more]
            filled, taken = filled + more, taken + more
            if filled == _BUFFER:
                direct = _write_block(fd, buffer, direct)
                filled = 0
    if filled:
        _end_direct(fd)
        _write(fd, [buffer[:filled]])


def _write_block(fd: int, block: memoryview, direct: bool) -> bool:
    """Write it all; False where further blocks must go through the cache: larger disk blocks, or a nearly full disk."""
    done = 0
    try:
        done = os.write(fd, block)
    except OSError as error:
        if not direct or error.errno != errno.EINVAL:
            raise
    if done < len(block):
        direct = False
        _end_direct(fd)
        _write(fd, [block[done:]])
    return direct


def _end_direct(fd: int) -> None:
    if _DIRECT and fcntl is not None:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~_DIRECT)


def replace_file(path: Path, content: bytes) -> None:
    """Replace or create a small file atomically."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        write_file(temporary, [content])
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    if not _DIRECTORY:
        return
    fd = os.open(path, os.O_RDONLY | _DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not supported by some network file systems
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; the system frees it when the process dies. Waits for other holders."""
    fd = hold(path)
    try:
        yield
    finally:
        os.close(fd)


def _flock(fd: int, *, wait: bool) -> bool:
    """True when held, or where the file system has no locks; False when another holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise
    return True


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str], what: str) -> Iterator[Path]:
    """A folder that takes the name `path` at the end; nothing is left of it after an error.

    TableError where there is something of that name (`what` is never overwritten), or where it can't be written.
    """
    target = Path(path)
    if os.path.lexists(target):
        raise TableError(f"{target} exists: {what} is never overwritten.")
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
    try:
        os.makedirs(temporary)
        yield temporary
        sync_directory(temporary)
        os.rename(temporary, target)
        sync_directory(target.parent)
    except OSError as error:
        raise TableError(f"{target} was not written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Workspace:
    """A temporary folder locked by its publisher, so that others can tell a leftover from work in progress."""

    PREFIX, TRASH = ".tmp-", ".trash-"

    def __init__(self, parent: Path) -> None:
        """Call it under the parent's lock: a folder without its lock would look like a leftover."""
        self.path = parent / f"{self.PREFIX}{secrets.token_hex(8)}"
        self.content = self.path / "table"
        os.mkdir(self.path)
        self._fd = hold(self.path / "lock")
        os.mkdir(self.content)

    def close(self) -> None:
        """Remove what is left and release the lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._fd)

    @classmethod
    def remove_leftovers(cls, parent: Path) -> int:
        """Remove temporary folders of dead publishers and of interrupted pruning; call it under the parent's lock."""
        removed = 0
        for entry in sorted(os.listdir(parent)):
            path = parent / entry
            if entry.startswith(".LATEST-"):
                os.unlink(path)
            elif entry.startswith(cls.TRASH) or (entry.startswith(cls.PREFIX) and is_abandoned(path)):
                shutil.rmtree(path, ignore_errors=True)
            else:
                continue
            removed += 1
        return removed


def hold(path: Path) -> int:
    """A descriptor of the lock file `path`, held until it is closed or the process dies."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | _NOFOLLOW, 0o666)
    try:
        _flock(fd, wait=True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_abandoned(path: Path) -> bool:
    """Does nobody hold the lock of this folder?"""
    if fcntl is None:
        return False
    try:
        fd = os.open(path / "lock", os.O_RDWR | _NOFOLLOW)
    except FileNotFoundError:
        return True  # its publisher died before it had a lock, or while it cleaned up
    except OSError:
        return False
    try:
        return _flock(fd, wait=False)
    finally:
        os.close(fd)


def make_locked(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder whose name begins with `prefix`, and the descriptor of the lock in it, held until it is closed.

    It has its name only once the lock is held, so that a folder of such a name without a holder is nobody's.
    """
    making = parent / f".making-{secrets.token_hex(8)}"
    os.mkdir(making)
    fd = hold(making / "lock")
    path = parent / f"{prefix}{secrets.token_hex(8)}"
    os.rename(making, path)
    return path, fd


def remove_abandoned(parent: Path, prefix: str) -> list[tuple[Path, int]]:
    """Remove folders of `make_locked` whose makers are dead; each with the bytes that were in it."""
    found = []
    for name in sorted(os.listdir(parent)):
        path = parent / name
        if name.startswith(prefix) and path.is_dir() and not path.is_symlink() and is_abandoned(path):
            found.append((path, folder_size(path)))
            shutil.rmtree(path, ignore_errors=True)
    return found


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(root, name)).st_size
    return total


def is_plain_directory(path: Path) -> bool:
    """True for a directory that is not a symbolic link; False where there is nothing; TableError for anything else."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "not a directory"
        raise TableError(f"{path} is {what}: a store holds plain directories only.")
    return True


class Folder:
    """An open directory. Files are opened relative to it, so that all come from it even if its path is replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | _DIRECTORY | _NOFOLLOW) if _BY_FD else -1

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def map(self, name: str, size: int | None = None, at_most: int | None = None) -> mmap.mmap | bytes:
        """The bytes of a regular file, mapped; TableError unless it has `size`, or at most `at_most`, bytes."""
        with self._opened(name, size, at_most) as (fd, actual):
            if actual == 0:
                return b""
            try:
                return mmap.mmap(fd, actual, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise TableError(f"{self.path / name} can't be mapped: {error}.") from error

    def sha256(self, name: str, size: int) -> str:
        """The hash of a regular file of `size` bytes; TableError where it can't be read.

        A large file is read from the disk itself where the system allows it: the page cache says nothing about the
        disk. A bad sector is then an error; in a memory map it would kill the process.
        """
        if size >= LARGE:
            with self._opened(name, size, None) as (fd, _):
                try:
                    found = _hash_past_the_cache(fd, size)
                except OSError as error:
                    raise TableError(f"{self.path / name} can't be read: {error.strerror or error}.") from error
            if found is not None:
                return found
        return hash_of(self.map(name, size))

    @contextlib.contextmanager
    def _opened(self, name: str, size: int | None, at_most: int | None) -> Iterator[tuple[int, int]]:
        """Descriptor and size of a file, checked to be regular and of a permitted size."""
        path = self.path / name
        try:
            if _BY_FD:
                fd = os.open(name, os.O_RDONLY | _NOFOLLOW | _NONBLOCK, dir_fd=self._fd)
            else:
                fd = os.open(path, os.O_RDONLY | _NOFOLLOW)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise TableError(f"{path} can't be opened: {error.strerror}.") from error
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise TableError(f"{path} is not a regular file.")
            if size is not None and info.st_size != size:
                raise TableError(f"{path} has {info.st_size} bytes where its manifest says {size}.")
            if at_most is not None and info.st_size > at_most:
                raise TableError(f"{path} has {info.st_size} bytes, more than the {at_most} it may have.")
            yield fd, info.st_size
        finally:
            os.close(fd)


def _hash_past_the_cache(fd: int, size: int) -> str | None:
    """sha256 of an open file, read ahead in blocks by direct I/O; None where the system doesn't allow it."""
    if not _DIRECT or fcntl is None or not hasattr(os, "preadv"):
        return None
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | _DIRECT)
    except OSError:
        return None
    sha, starts = hashlib.sha256(), range(0, size, _BUFFER)
    buffers = [memoryview(mmap.mmap(-1, _BUFFER)) for _ in range(_AHEAD + 1)]

    def read(i: int) -> int:
        return os.preadv(fd, [buffers[i % len(buffers)]], starts[i])

    with ThreadPoolExecutor(_AHEAD) as pool:
        coming = deque(pool.submit(read, i) for i in range(min(_AHEAD, len(starts))))
        try:
            for i, start in enumerate(starts):
                whole = coming.popleft().result() == min(_BUFFER, size - start)
                if not whole:  # truncated meanwhile, or a short read
                    return None
                if i + _AHEAD < len(starts):  # into the buffer hashed before this one
                    coming.append(pool.submit(read, i + _AHEAD))
                sha.update(buffers[i % len(buffers)][: size - start])
        except OSError as error:
            if error.errno != errno.EINVAL:  # a disk of larger blocks
                raise
            return None
    return sha.hexdigest()
