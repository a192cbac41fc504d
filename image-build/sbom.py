#!/usr/bin/env python3
"""Lists what is in a release program: a software bill of materials (CycloneDX 1.5, JSON) and the licence texts of the crates.

Usage: image-build/sbom.py --target TARGET --program FILE --sbom FILE --licences FILE     (in the checkout; cargo must work)

What counts is what is linked: the crates that the program needs on the target, without those of tests, build scripts and macros,
which stay on the building machine. The same source and program give the same bytes (SOURCE_DATE_EPOCH is the time in it).
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

# Files of a crate that hold the words of its licence.
LICENCE_FILES = re.compile(r"^(licen[cs]e|copying|notice|unlicense|copyright)([-_.].*)?$", re.IGNORECASE)
# A licence is a few pages; more is something else.
LICENCE_BYTES_MAX = 100_000


def metadata(target):
    words = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def compiled(target):
    """Name and version of each crate that cargo compiles into the program; its metadata also names those that only other members
    of the workspace or features that are off would bring in."""
    words = ["cargo", "tree", "--locked", "--package", "printernizer", "--target", target, "--edges", "normal,no-proc-macro",
             "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {(name, version.removeprefix("v")) for name, version in (line.split()[:2] for line in lines if line)}


def linked(data, wanted):
    """Ids of the packages that end up in the program, those of `wanted`, with what each needs, in a steady order."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    [start] = [member for member in data["workspace_members"] if packages[member]["name"] == "printernizer"]

    def is_macro(package):
        return any("proc-macro" in target["kind"] for target in packages[package]["targets"])

    def named(package):
        return packages[package]["name"], packages[package]["version"]

    found, waiting = {}, [start]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        needs = [
            dep["pkg"]
            for dep in nodes[package]["deps"]
            if any(kind["kind"] is None for kind in dep["dep_kinds"]) and not is_macro(dep["pkg"]) and named(dep["pkg"]) in wanted
        ]
        found[package] = sorted(needs)
        waiting.extend(needs)
    if lost := wanted - {named(package) for package in found}:
        sys.exit(f"sbom.py: in the program, but needed by nobody: {sorted(lost)}; the list cannot be right")
    order = sorted(found, key=lambda package: (packages[package]["name"], packages[package]["version"]))
    return start, packages, {package: found[package] for package in order}


def checksums():
    """SHA-256 of each crate's archive, by name and version."""
    text = pathlib.Path("Cargo.lock").read_text(encoding="utf-8")
    entry = re.compile(r'name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "([0-9a-f]{64})"')
    return {(name, version): sha for name, version, sha in entry.findall(text)}


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums):
    entry = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("license"):
        # Older crates write "MIT/Apache-2.0".
        entry["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    if (sha := sums.get((package["name"], package["version"]))) is not None:
        entry["hashes"] = [{"alg": "SHA-256", "content": sha}]
    return entry


def compiler():
    """What comes with the compilers: the standard library, and Zig's C library."""
    release = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    release = re.search(r"^release: (.*)$", release, re.MULTILINE).group(1)
    requirements = pathlib.Path(__file__).with_name("zig-requirements.txt").read_text(encoding="utf-8")
    zig = re.search(r"^ziglang==(\S+)", requirements, re.MULTILINE).group(1)
    return [
        {"type": "library", "bom-ref": f"rust-std@{release}", "name": "rust-std", "version": release,
         "description": "the standard library of Rust", "licenses": [{"expression": "MIT OR Apache-2.0"}]},
        {"type": "library", "bom-ref": f"zig-libc@{zig}", "name": "musl, libunwind and compiler-rt of Zig", "version": zig,
         "licenses": [{"expression": "MIT AND (Apache-2.0 WITH LLVM-exception)"}]},
    ]


def bill(start, packages, found, program, time):
    sums = checksums()
    root = packages[start]
    extra = compiler()
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": purl(root),
                "name": root["name"],
                "version": root["version"],
                "licenses": [{"expression": root["license"]}],
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(program).hexdigest()}],
            },
        },
        "components": [component(packages[one], sums) for one in found if one != start] + extra,
        "dependencies": [
            {"ref": purl(packages[one]), "dependsOn": [purl(packages[need]) for need in needs]
             + ([entry["bom-ref"] for entry in extra] if one == start else [])}
            for one, needs in found.items()
        ],
    }
    text = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def licences(start, packages, found):
    """The texts, each once, with the crates that they belong to."""
    texts, silent = {}, []
    for one in found:
        package = packages[one]
        name = f"{package['name']} {package['version']} ({package.get('license') or 'see its text'})"
        files = sorted(
            file
            for file in pathlib.Path(package["manifest_path"]).parent.iterdir()
            if LICENCE_FILES.match(file.name) and file.is_file() and file.stat().st_size <= LICENCE_BYTES_MAX
        )
        for file in files:
            texts.setdefault(file.read_text(encoding="utf-8", errors="replace").strip(), []).append(name)
        if not files and one != start and not package["source"] is None:
            silent.append(name)
    parts = ["The program is made of these crates; their licences follow, each text once.\n\n"]
    parts += [f"{packages[one]['name']} {packages[one]['version']}: {packages[one].get('license')}\n" for one in found]
    if silent:
        parts.append("\nWithout a text of their own; the words of the licence they name hold: " + ", ".join(silent) + "\n")
    for text, names in texts.items():
        parts.append(f"\n{'-' * 100}\n{', '.join(dict.fromkeys(names))}\n\n{text}\n")
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ["--target", "--program", "--sbom", "--licences"]:
        parser.add_argument(option, required=True)
    given = parser.parse_args()
    start, packages, found = linked(metadata(given.target), compiled(given.target))
    if not any(packages[one]["name"] == "ring" for one in found):
        sys.exit("sbom.py: ring is not among the crates; the list cannot be right")
    time = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    program = pathlib.Path(given.program).read_bytes()
    pathlib.Path(given.sbom).write_text(bill(start, packages, found, program, time), encoding="utf-8")
    pathlib.Path(given.licences).write_text(licences(start, packages, found), encoding="utf-8")
    print(f"sbom.py: {given.sbom}: {len(found)} crates and what came with the compilers")


if __name__ == "__main__":
    main()
