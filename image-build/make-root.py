#!/usr/bin/env python3
"""Puts a system's tree together, from unpacked Debian packages and our own files.

Usage: make-root.py --card DIR --packages UNPACKED --kernel VERSION --root OUT --first OUT --repository DIR
                    --program FILE --epoch SECONDS

It copies what card/files.txt names and nothing else, adds the libraries that this needs (as the programs themselves say),
the modules of card/modules.txt with what they need, card/overlay, the units of systemd/ and the program. /bin, /sbin and
/lib become /usr/bin, /usr/sbin and /usr/lib. Permissions are set here and do not depend on the caller's umask.

--first gets the modules that the first program loads from memory, and their order in the file "modules".

Everything that is named and not there is an error: a package that changed must not quietly make a smaller card.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

LIBRARY_DIRECTORIES = [
    "lib/arm-linux-gnueabi",
    "usr/lib/arm-linux-gnueabi",
    "lib/systemd",
    "usr/lib/arm-linux-gnueabi/systemd",
    "lib",
]
MERGED = ("bin/", "sbin/", "lib/")
LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "etc/resolv.conf": "../run/printernizer/resolv.conf",
    "etc/mtab": "../proc/self/mounts",
    "usr/lib/systemd/system/default.target": "multi-user.target",
}
DIRECTORIES = ["boot", "data", "dev", "proc", "run", "sys", "tmp", "var", "root", "usr/bin", "usr/sbin", "usr/lib"]
# Names that other packages' scripts would have made.
REGULATORY = {"regulatory.db": "regulatory.db-debian", "regulatory.db.p7s": "regulatory.db.p7s-debian"}


def fail(text):
    sys.exit(f"make-root.py: error: {text}")


def lines(path):
    for line in path.read_text().splitlines():
        line = line.split("#", 1)[0].strip()
        if line:
            yield line


def merged(name):
    """The place of a package's file in a tree whose /bin, /sbin and /lib are links."""
    return "usr/" + name if name.startswith(MERGED) else name


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


class Root:
    def __init__(self, packages, root):
        self.packages, self.root = packages, root
        self.libraries = self.find_libraries()

    def find_libraries(self):
        found = {}
        for directory in LIBRARY_DIRECTORIES:
            for path in sorted((self.packages / directory).glob("*.so*")):
                found.setdefault(path.name, path)
        return found

    def put(self, source, name, executable=None):
        """Copies one file or link."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.exists():
            target.unlink()
        if source.is_symlink():
            os.symlink(os.readlink(source), target)
            return
        shutil.copyfile(source, target)
        if executable is None:
            executable = os.access(source, os.X_OK)
        os.chmod(target, 0o755 if executable else 0o644)

    def take(self, pattern):
        """Copies what a pattern names from the packages, and for programs what they need."""
        found = sorted(self.packages.glob(pattern))
        if not found:
            fail(f"no package has {pattern}")
        for source in found:
            if source.is_dir() and not source.is_symlink():
                fail(f"{pattern} is a directory; name files")
            name = str(source.relative_to(self.packages))
            self.put(source, merged(name))
            if not source.is_symlink() and is_elf(source):
                self.need(source)

    def need(self, program):
        """Copies the libraries that a program or library names, and theirs."""
        dynamic = subprocess.run(
            ["readelf", "--dynamic", "--program-headers", "--wide", str(program)],
            capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"},
        ).stdout
        names = [line.split("[")[1].split("]")[0] for line in dynamic.splitlines() if "(NEEDED)" in line]
        names += [
            os.path.basename(line.split(": ")[1].rstrip("]"))
            for line in dynamic.splitlines() if "program interpreter" in line
        ]
        for name in names:
            library = self.libraries.get(name)
            if library is None:
                fail(f"{program} needs {name}, which no package of packages.txt has")
            real = pathlib.Path(os.path.realpath(library))
            # Under the name that is asked for: one file each and no chains of links.
            target = merged(str(library.relative_to(self.packages)))
            if (self.root / target).exists():
                continue
            self.put(real, target, executable=True)
            self.need(real)

    def modules(self, kernel, wanted):
        """Copies modules with what they need; returns their paths in the order of loading."""
        order = []
        for module in wanted:
            shown = subprocess.run(
                ["modprobe", "--dirname", str(self.packages), "--set-version", kernel, "--show-depends", module],
                capture_output=True, text=True,
            )
            if shown.returncode != 0:
                fail(f"the kernel has no module {module}: {shown.stderr.strip()}")
            for line in shown.stdout.splitlines():
                words = line.split()
                if words[0] == "insmod":
                    path = pathlib.Path(os.path.normpath(words[1]))
                    name = str(path.relative_to(self.packages))
                    if name not in order:
                        order.append(name)
        return order


def copy_tree(root, source):
    for directory, _, files in os.walk(source):
        for file in sorted(files):
            path = pathlib.Path(directory) / file
            root.put(path, str(path.relative_to(source)), executable=False)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("card", "packages", "kernel", "root", "first", "repository", "program", "epoch"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    os.umask(0o022)
    card = pathlib.Path(arguments.card).resolve()
    packages = pathlib.Path(arguments.packages).resolve()
    root = Root(packages, pathlib.Path(arguments.root).resolve())
    kernel, epoch = arguments.kernel, int(arguments.epoch)

    for name in DIRECTORIES:
        (root.root / name).mkdir(parents=True, exist_ok=True)
    for name, target in LINKS.items():
        (root.root / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, root.root / name)
    for pattern in lines(card / "files.txt"):
        root.take(pattern)
    for name, source in REGULATORY.items():
        root.put(packages / "lib/firmware" / source, f"usr/lib/firmware/{name}")

    entries = [line.split() for line in lines(card / "modules.txt")]
    first = [entry[1] for entry in entries if entry[0] == "first"]
    for name in root.modules(kernel, [entry[-1] for entry in entries]):
        root.put(packages / name, merged(name), executable=False)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        root.put(packages / "lib/modules" / kernel / name, f"usr/lib/modules/{kernel}/{name}")
    subprocess.run(["depmod", "--basedir", str(root.root), kernel], check=True)

    copy_tree(root, card / "overlay")
    repository = pathlib.Path(arguments.repository).resolve()
    for kind in ("service", "socket", "path", "timer"):
        for unit in sorted((repository / "systemd").glob(f"*.{kind}")):
            root.put(unit, f"usr/lib/systemd/system/{unit.name}", executable=False)
    root.put(pathlib.Path(arguments.program).resolve(), "usr/bin/printernizer", executable=True)

    units = root.root / "usr/lib/systemd/system"
    for line in lines(card / "units.txt"):
        target, unit = line.split()
        if not (units / unit).exists():
            fail(f"units.txt wants {unit}, which is not there")
        (units / f"{target}.wants").mkdir(exist_ok=True)
        os.symlink(f"../{unit}", units / f"{target}.wants" / unit)
    # systemd takes this file's time as the earliest that can be.
    epoch_file = root.root / "usr/lib/clock-epoch"
    epoch_file.write_bytes(b"")

    out = pathlib.Path(arguments.first).resolve()
    order = root.modules(kernel, first)
    for name in order:
        target = out / os.path.basename(name)
        shutil.copyfile(packages / name, target)
        os.chmod(target, 0o644)
    (out / "modules").write_text("".join(f"/{os.path.basename(name)}\n" for name in order))

    for tree in (root.root, out):
        for directory, directories, files in os.walk(tree):
            for name in directories + files:
                path = os.path.join(directory, name)
                if not os.path.islink(path) and os.path.isdir(path):
                    os.chmod(path, 0o755)
                os.utime(path, (epoch, epoch), follow_symlinks=False)
        os.chmod(tree, 0o755)
        os.utime(tree, (epoch, epoch))


main()
