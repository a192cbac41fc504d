#!/usr/bin/env python3
"""Writes what a card is made of: NAME.manifest.txt for people, NAME.sbom.json (CycloneDX 1.5) for machines.

Usage: make-manifest.py --out NAME --image FILE --cache DIR --debs FILE --root DIR --fat DIR --system FILE --repository DIR
                        --kernel VERSION --version VERSION --commit HASH --epoch SECONDS

Both depend on what went in alone, so two builds from the same inputs give the same bytes.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid

TARGET = "arm-unknown-linux-musleabihf"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def debian(cache, names):
    """The packages: what they are called, and the hash of the file that they came in."""
    for name in names:
        fields = subprocess.run(
            ["dpkg-deb", "--field", str(cache / name), "Package", "Version", "Architecture", "Source"],
            capture_output=True, text=True, check=True,
        ).stdout
        field = dict(line.split(": ", 1) for line in fields.splitlines())
        yield {
            "name": field["Package"],
            "version": field["Version"],
            "architecture": field["Architecture"],
            "source": field.get("Source", field["Package"]).split(" ")[0],
            "sha256": sha256(cache / name),
        }


def crates(repository):
    """The crates that are linked into the two programs, by cargo's own account."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--target", TARGET, "--edges", "normal", "--prefix", "none",
         "--package", "printernizer", "--package", "printernizer-board", "--format", "{p}|{l}"],
        capture_output=True, text=True, cwd=repository, stdin=subprocess.DEVNULL, timeout=300,
    )
    if tree.returncode != 0:
        sys.exit(f"make-manifest.py: error: cargo tree: {tree.stderr.strip()}")
    found = set()
    for line in tree.stdout.splitlines():
        package, _, licence = line.removesuffix(" (*)").partition("|")
        words = package.split()
        if len(words) >= 2:
            found.add((words[0], words[1].removeprefix("v"), licence.removesuffix(" (*)").strip()))
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("out", "image", "cache", "debs", "root", "fat", "system", "repository", "kernel", "version", "commit", "epoch"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    image = pathlib.Path(arguments.image)
    names = pathlib.Path(arguments.debs).read_text().split()
    packages = sorted(debian(pathlib.Path(arguments.cache), names), key=lambda one: one["name"])
    linked = crates(arguments.repository)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(arguments.epoch)))
    image_hash = sha256(image)

    text = [
        f"printernizer {arguments.version} for Raspberry Pi Zero and Zero W",
        f"commit           {arguments.commit}",
        f"time of contents {made}",
        f"kernel           {arguments.kernel}",
        "",
        "# SHA-256, bytes, file",
        f"{image_hash} {image.stat().st_size} {image.name}",
    ]
    packed = image.with_name(image.name + ".xz")
    if packed.exists():
        text.append(f"{sha256(packed)} {packed.stat().st_size} {packed.name}")
    text += [
        f"{sha256(arguments.system)} {os.path.getsize(arguments.system)} one system (squashfs; both slots hold it)",
        "",
        "# boot partition: SHA-256, bytes, file",
    ]
    for path in sorted(pathlib.Path(arguments.fat).iterdir()):
        text.append(f"{sha256(path)} {path.stat().st_size} {path.name}")
    text += ["", "# Debian packages of which files are on the card: SHA-256 of the package, name, version, architecture"]
    text += [f"{one['sha256']} {one['name']} {one['version']} {one['architecture']}" for one in packages]
    text += ["", "# crates in the two programs: name, version, licence"]
    text += [" ".join(one) for one in linked]
    text += ["", "# files of a system: SHA-256, bytes, file"]
    root = pathlib.Path(arguments.root)
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        text.append(f"{sha256(path)} {path.stat().st_size} /{path.relative_to(root)}")
    pathlib.Path(arguments.out + ".manifest.txt").write_text("\n".join(text) + "\n")

    components = [
        {
            "type": "library",
            "name": one["name"],
            "version": one["version"],
            "purl": f"pkg:deb/debian/{one['name']}@{one['version'].replace(':', '%3A').replace('+', '%2B')}?arch={one['architecture']}&distro=debian-12",
            "hashes": [{"alg": "SHA-256", "content": one["sha256"]}],
            "properties": [{"name": "debian:source", "value": one["source"]}],
        }
        for one in packages
    ] + [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:cargo/{name}@{version}",
            **({"licenses": [{"expression": licence.replace("/", " OR ")}]} if licence else {}),
        }
        for name, version, licence in linked
    ]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image_hash)}",
        "version": 1,
        "metadata": {
            "timestamp": made,
            "component": {
                "type": "firmware",
                "name": "printernizer-zero",
                "version": arguments.version,
                "hashes": [{"alg": "SHA-256", "content": image_hash}],
            },
        },
        "components": components,
    }
    pathlib.Path(arguments.out + ".sbom.json").write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    print(f"make-manifest.py: {len(packages)} Debian packages, {len(linked)} crates")


main()
