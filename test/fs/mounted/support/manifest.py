"""A tree as lines of JSON, one an entry, sorted by path: what two trees must have in common to be the same.

Names and targets are bytes, in hexadecimal. Symlinks are not followed, and not even looked through.
"""
import hashlib
import json
import os
import stat
import sys

CHUNK = 1 << 20
KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink"}


def describe(path):
    found = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(found.st_mode), "other")
    entry = {"kind": kind, "mode": oct(stat.S_IMODE(found.st_mode)), "mtime": str(found.st_mtime_ns)}
    if kind == "symlink":
        entry["target"] = os.readlink(path).hex()
    elif kind == "file":
        digest = hashlib.sha256()
        length = 0
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
                length += len(piece)
        entry.update(size=found.st_size, read=length, sha256=digest.hexdigest())
    return entry


def walk(root):
    pending = [b""]
    while pending:
        relative = pending.pop()
        entry = describe(root + relative)
        print(json.dumps({"path": relative.hex(), **entry}))
        if entry["kind"] == "directory":
            names = os.listdir(root + relative)
            pending.extend(relative + b"/" + name for name in sorted(names, reverse=True))


walk(os.fsencode(sys.argv[1]))
