"""What a disk may hold after the power went. A log of strace (all that changes files, with the data) becomes a list of operations; a
Disk does them one after another and knows what is durable and what is still on its way.

The model is the strict one, as in ALICE and CrashMonkey: data and length of a file are durable after fsync or fdatasync of the file, a
name after fsync of its folder, and nothing else is. Whatever is not durable may have reached the disk or not, each by itself: in any
order, in part (512 or 4096 bytes), or with its length but without its bytes."""
import dataclasses
import itertools
import os
import re

STRACE = ["strace", "-D", "-f", "-y", "-xx", "-ttt", "-s", "8000000", "-e",
          "trace=open,openat,creat,pwrite64,pwritev,pwritev2,write,writev,ftruncate,fallocate,fsync,fdatasync,sync_file_range,rename,renameat,"
          "renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,sendfile,copy_file_range,splice"]
LINE = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
DONE = re.compile(r"^(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?")
WORD = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?|(-?[\w|]+)(?:<([^>]*)>(\(deleted\))?)?|(\{[^}]*\}|\[[^]]*\])')
CREATE, WRITE, TRUNCATE, ALLOCATE, SYNC, RENAME, LINK, UNLINK, MKDIR = "create write truncate allocate sync rename link unlink mkdir".split()


@dataclasses.dataclass
class Op:
    kind: str
    time: float  # when it was begun
    path: str
    data: bytes = b""
    offset: int = 0  # or length
    target: str = ""

    def __str__(self):
        return f"{self.kind} {os.path.basename(self.path)} {self.offset} +{len(self.data)} {os.path.basename(self.target)}".strip()


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


def path_of(text):
    return unhex(text).decode() if "\\x" in text else text


def whole_calls(lines):
    """(time begun, text) of each call that ended, calls that were cut in two by other threads put together."""
    begun = {}
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        pid, time, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun[pid] = (float(time), text[:-len("<unfinished ...>")])
            continue
        resumed = RESUMED.match(text)
        if resumed:
            if pid in begun:
                time, first = begun.pop(pid)
                yield time, first + resumed.group(2)
            continue
        yield float(time), text


class Recording:
    """Operations below `root` in a log of strace, in order. Knows which names exist, so as to tell making from opening."""

    def __init__(self, root, skip=("reserve", "lock", "test.conf")):
        self.root, self.skip = root.rstrip("/"), skip
        self.ops, self.known = [], {self.root}

    def inside(self, path):
        store = self.root + "/store"  # keys and passwords are not mail
        return (path == store or path.startswith(store + "/")) and not path.endswith("(deleted)") and not path.endswith("-shm") and \
            os.path.basename(path) not in self.skip

    def read(self, log):
        with open(log, encoding="latin-1") as f:
            for time, text in whole_calls(f):
                match = DONE.match(text)
                if match and int(match.group(3)) >= 0:
                    self.call(time, match.group(1), match.group(2), int(match.group(3)), match.group(4))

    def add(self, kind, time, path, **more):
        if self.inside(path) or kind == SYNC and path == self.root:
            self.ops.append(Op(kind, time, path, **more))

    def call(self, time, name, arguments, result, opened):
        words = [self.word(m) for m in WORD.finditer(arguments)]
        if name == "openat" and opened:
            words[1] = path_of(opened).encode()
        handler = getattr(self, "on_" + name, None)
        if handler:
            handler(time, words, result)
        elif any(isinstance(w, tuple) and self.inside(w[1]) for w in words):
            raise ValueError(f"a call this recorder does not know touched the data: {name}({arguments[:100]}")

    @staticmethod
    def word(match):
        if match.group(1) is not None:
            return unhex(match.group(1))
        if match.group(3) is not None:
            return (match.group(2), path_of(match.group(3)) + (match.group(4) or ""))
        return match.group(2) or match.group(5)

    def at(self, folder, name):
        base = folder[1] if isinstance(folder, tuple) else "/"
        path = os.path.normpath(os.path.join(base, name.decode()))
        jailed = f"{self.root}/store{path}"  # the office's root is its folder
        return jailed if jailed in self.known else path

    def on_openat(self, time, words, _):
        path = self.at(words[0], words[1])
        if "O_CREAT" in words[2] and path not in self.known and "O_TMPFILE" not in words[2]:
            self.known.add(path)
            self.add(CREATE, time, path)
        if "O_TRUNC" in words[2]:
            self.add(TRUNCATE, time, path, offset=0)

    def on_mkdirat(self, time, words, _):
        path = self.at(words[0], words[1])
        self.known.add(path)
        self.add(MKDIR, time, path)

    def on_mkdir(self, time, words, _):
        self.on_mkdirat(time, ["AT_FDCWD", *words], 0)

    def on_pwrite64(self, time, words, result):
        self.add(WRITE, time, words[0][1], data=words[1][:result], offset=int(words[3]))

    def on_write(self, _time, words, _):
        if isinstance(words[0], tuple) and self.inside(words[0][1]):
            raise ValueError(f"write without a position to {words[0][1]}")

    on_writev = on_write

    def on_ftruncate(self, time, words, _):
        self.add(TRUNCATE, time, words[0][1], offset=int(words[1]))

    def on_fallocate(self, time, words, _):
        self.add(ALLOCATE, time, words[0][1], offset=int(words[2]) + int(words[3]))

    def on_fsync(self, time, words, _):
        self.add(SYNC, time, words[0][1])

    on_fdatasync = on_fsync

    def on_unlinkat(self, time, words, _):
        path = self.at(words[0], words[1])
        self.known.discard(path)
        self.add(UNLINK, time, path)

    def on_unlink(self, time, words, _):
        self.on_unlinkat(time, ["AT_FDCWD", *words], 0)

    def on_renameat2(self, time, words, _):
        old, new = self.at(words[0], words[1]), self.at(words[2], words[3])
        self.known.discard(old)
        self.known.add(new)
        self.add(RENAME, time, old, target=new)

    on_renameat = on_renameat2

    def on_rename(self, time, words, _):
        self.on_renameat2(time, ["AT_FDCWD", words[0], "AT_FDCWD", words[1]], 0)


class File:
    """Its durable bytes, and the changes under way (kind, offset, data)."""

    def __init__(self):
        self.durable, self.pending = bytearray(), []


def apply(content, change):
    kind, offset, data = change
    if kind == TRUNCATE:
        if offset < len(content):
            del content[offset:]
        else:
            content.extend(bytes(offset - len(content)))
    elif kind == ALLOCATE:
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
    else:
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(data)] = data


class Disk:
    """Names are paths. A change of a folder is (kind, path, file or None, target). ignored: of which paths a sync does nothing."""

    def __init__(self, root, ignored=lambda path: False):
        self.root, self.ignored = root, ignored
        self.names = {root: "folder"}  # as programs see it
        self.durable = {root: "folder"}
        self.folders = {}  # folder -> its changes under way

    def do(self, op):
        folder = os.path.dirname(op.path)
        if op.kind in (CREATE, MKDIR):
            self.names[op.path] = File() if op.kind == CREATE else "folder"
            self.folders.setdefault(folder, []).append((op.kind, op.path, self.names[op.path], ""))
        elif op.kind == UNLINK:
            self.names.pop(op.path, None)
            self.folders.setdefault(folder, []).append((UNLINK, op.path, None, ""))
        elif op.kind == RENAME:
            self.names[op.target] = self.names.pop(op.path)
            self.folders.setdefault(folder, []).append((RENAME, op.path, self.names[op.target], op.target))
        elif op.kind == SYNC:
            self.sync(op.path)
        else:
            self.names[op.path].pending.append((op.kind, op.offset, op.data))

    def sync(self, path):
        if self.ignored(path):
            return
        what = self.names.get(path)
        if isinstance(what, File):
            for change in what.pending:
                apply(what.durable, change)
            what.pending = []
        else:
            for change in self.folders.pop(path, []):
                self.rename_one(self.durable, change)

    @staticmethod
    def rename_one(names, change):
        kind, path, what, target = change
        if kind in (CREATE, MKDIR):
            names[path] = what
        elif kind == UNLINK:
            names.pop(path, None)
        elif kind == RENAME:
            names.pop(path, None)
            names[target] = what

    def pending(self):
        """All that is under way: (file, change) or (None, change of a folder)."""
        files = []
        for what in self.names.values():
            if isinstance(what, File):
                files += [(what, change) for change in what.pending]
        return files + [(None, change) for changes in self.folders.values() for change in changes]

    def build(self, kept):
        """{path: bytes, or None for a folder} of a disk that got those of pending() that `kept` says: index -> True, False, or a
        changed version of the data."""
        contents, names = {}, dict(self.durable)
        for i, (what, change) in enumerate(self.pending()):
            choice = kept.get(i, True)
            if choice is False:
                continue
            if what is None:
                self.rename_one(names, change)
                continue
            if id(what) not in contents:
                contents[id(what)] = bytearray(what.durable)
            apply(contents[id(what)], change if choice is True else choice)
        there = {}
        for path, what in sorted(names.items()):
            parent = os.path.dirname(path)
            if path != self.root and parent not in there:
                continue  # the folder itself did not make it
            there[path] = None if what == "folder" else contents.get(id(what), what.durable)
        return there


def torn(change, rng):
    """A write that reached the disk in part: some of its sectors, or its length only."""
    kind, offset, data = change
    if kind != WRITE:
        return True
    if rng.random() < 0.2:
        return (ALLOCATE, offset + len(data), b"")
    sector = rng.choice((512, 4096))
    if rng.random() < 0.5:
        return (WRITE, offset, data[:max(0, rng.randrange(0, len(data) + sector, sector) - offset % sector)])
    end = rng.randrange(0, len(data) + 1, 1)
    return (WRITE, offset + end, data[end:])


def choices(pending, rng, most):
    """At most that many ways in which what was under way may have ended; all of them when they are few."""
    n = len(pending)
    yield {}
    if n == 0:
        return
    yield {i: False for i in range(n)}
    if n <= 3:
        subsets = [dict(zip(range(n), keep)) for keep in itertools.product((True, False), repeat=n)][1:-1]
    else:
        subsets = [{n - 1: False}, {n - 1: torn(pending[n - 1][1], rng) if pending[n - 1][0] else False}]
        subsets += [{rng.randrange(n): False} for _ in range(2)]
    for subset in subsets[:max(0, most - 2)]:
        yield subset
    for _ in range(max(0, most - 2 - len(subsets))):
        odds = rng.choice((0.1, 0.5, 0.9))
        kept = {}
        for i, (what, change) in enumerate(pending):
            if rng.random() < odds:
                kept[i] = False
            elif what is not None and rng.random() < 0.2:
                kept[i] = torn(change, rng)
        yield kept
