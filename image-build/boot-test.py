#!/usr/bin/env python3
"""Boots the card in an emulated Raspberry Pi Zero (qemu-system-arm -M raspi0) and lives with it for a while.

Usage: boot-test.py [--cuts N] [--seed N] [--only NAME] [--keep DIR]
  --cuts N     power cuts at random moments of prints (default 3)
  --seed N     repeats the moments of an earlier run; each run prints its own
  --only NAME  one part: life, cuts, slots, settings, gadget
  --keep DIR   leave the card and the console logs there
Needs target/image/printernizer-zero.img (build-image.sh), the simulator (cargo build -p simulator), qemu-system-arm, mtools,
e2fsprogs. Talks to loopback only, on free ports. Everything that it starts ends with it.

The test plays the board's firmware: it takes kernel, initrd.img, device tree and command line from the card's own boot
partition before each start. What QEMU cannot show is the firmware itself, the watchdog, Wi-Fi, HDMI, and a real card's timing.

What is proved: page and API answer over the forwarded port; a simulated Bambu printer on the host is added through the API and a
print is followed to its picture and its end; no unit fails; memory; after each cut the card starts, nothing that was told as done
is lost, and the file system is whole; a broken system gives way to the other one.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20
# The card as QEMU takes it: a power of two. The data partition grows into what is added.
CARD_BYTES = 256 * MIB
# Where the host's loopback is for the guest.
HOST = "10.0.2.2"
# Seconds from the start to the first answer: under TCG, beside other work. A hang is what this is for, not a slow machine.
BOOT_SECONDS = 420
# Seconds for a step of the service.
STEP_SECONDS = 240
# Arguments that only the emulated board needs: QEMU lacks the power controller and HDMI, and takes arming the watchdog for a reset.
EMULATED = "initcall_blacklist=bcm2835_power_driver_init systemd.watchdog_sec=0 modprobe.blacklist=vc4 printernizer.report console=ttyAMA0,115200"
# Simulated seconds in a real one: a print has its preparation, which takes minutes.
FACTOR = 10
SLOT_OFFSETS = (1 * MIB, 3 * MIB)


class Failed(Exception):
    pass


def say(text):
    print(f"boot-test.py: {text}", flush=True)


def check(condition, text):
    if not condition:
        raise Failed(text)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def partitions(image):
    """Start and length in bytes of the four partitions."""
    with open(image, "rb") as file:
        table = file.read(512)
    entries = [table[446 + 16 * index : 462 + 16 * index] for index in range(4)]
    return [tuple(512 * number for number in struct.unpack("<II", entry[8:])) for entry in entries]


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300, **options)


# --- a request, asked until there is an answer --------------------------------------------------------------------------


class Api:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def ask(self, method, path, body=None, seconds=20):
        """The status and the bytes; raises OSError where nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except http.client.HTTPException as error:
            raise OSError(f"broken answer: {error!r}") from error

    def json(self, method, path, body=None):
        status, text = self.ask(method, path, body)
        check(status in (200, 201, 202), f"{method} {path} answered {status}: {text[:300]!r}")
        return json.loads(text)

    def until(self, what, look, seconds=STEP_SECONDS, alive=lambda: None):
        """Calls look() until it gives something."""
        deadline = time.monotonic() + seconds
        last = "nothing"
        while time.monotonic() < deadline:
            alive()
            try:
                found = look()
                if found:
                    return found
            except (OSError, Failed) as error:
                last = error
            time.sleep(0.5)
        raise Failed(f"{what}: not within {seconds} s (last: {last})")


# --- the board ---------------------------------------------------------------------------------------------------------


class Board:
    """One card, started and cut off as often as wanted."""

    def __init__(self, directory, image):
        self.directory = directory
        self.card = directory / "card.img"
        run("cp", "--sparse=always", str(image), str(self.card))
        os.truncate(self.card, CARD_BYTES)
        self.starts = 0
        self.process = None
        self.port = None
        self.api = None

    def firmware(self):
        """What the board's firmware would load, as it stands on the card now."""
        start, _ = partitions(self.card)[0]
        loaded = self.directory / "firmware"
        shutil.rmtree(loaded, ignore_errors=True)
        loaded.mkdir()
        for name in ("kernel.img", "initrd.img", "bcm2835-rpi-zero.dtb", "cmdline.txt", "config.txt"):
            run("mcopy", "-i", f"{self.card}@@{start}", f"::{name}", str(loaded / name))
        return loaded

    def start(self, arguments="", icount=False):
        check(self.process is None, "the board runs already")
        loaded = self.firmware()
        self.starts += 1
        self.port = free_port()
        self.api = Api(self.port)
        self.log = self.directory / f"console-{self.starts}.log"
        line = (loaded / "cmdline.txt").read_text().strip()
        # The last console is the one that a person sees; here it is the serial one.
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["qemu-system-arm", "-M", "raspi0", "-kernel", str(loaded / "kernel.img"), "-initrd", str(loaded / "initrd.img"),
             "-dtb", str(loaded / "bcm2835-rpi-zero.dtb"), "-append", f"{line} {EMULATED} {arguments}",
             "-drive", f"if=sd,format=raw,file={self.card}", "-display", "none", "-serial", f"file:{self.log}", "-monitor", "none",
             "-no-reboot", *(["-icount", "shift=1"] if icount else []),
             "-device", "usb-net,netdev=n0", "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-:80"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.directory / "qemu.log", "ab"),
            preexec_fn=lambda: os.nice(5),
        )

    def alive(self):
        check(self.process is not None and self.process.poll() is None, f"QEMU ended by itself:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.console().splitlines()[-40:])

    def until(self, what, look, seconds=STEP_SECONDS):
        return self.api.until(what, look, seconds, self.alive)

    def answers(self):
        """Waits for the page; returns the seconds since the start."""
        # Nothing is sent before the network is up: QEMU's USB network keeps what it cannot deliver.
        self.until("the address on the console", self.has_address, BOOT_SECONDS)
        self.until("the page", lambda: self.api.ask("GET", "/", seconds=5)[0] == 200, BOOT_SECONDS)
        return time.monotonic() - self.started

    def has_address(self):
        return "http://10.0.2.15/" in self.console()

    def console(self):
        """What the console shows, without the kernel's remarks about clocks that QEMU lacks."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(line for line in text.splitlines() if "Division by zero in kernel" not in line)

    def reports(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        found = []
        for line in text.splitlines():
            if line.startswith("REPORT {"):
                with contextlib.suppress(json.JSONDecodeError):
                    found.append(json.loads(line.removeprefix("REPORT ")))
        return found

    def report(self):
        """A report from now on, from a system that has settled."""
        before = len(self.reports())
        return self.until("a report of the settled system",
                          lambda: next((one for one in self.reports()[before:] if one["state"] not in ("starting", "initializing")), None))

    def cut(self):
        """Pulls the plug."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def examine(self):
        """Is the data partition's file system whole, once its journal is replayed? On a copy: the card stays as the cut left it."""
        start, length = partitions(self.card)[3]
        copy = self.directory / "data.ext4"
        with open(self.card, "rb") as card, open(copy, "wb") as out:
            card.seek(start)
            left = length
            while left > 0:
                piece = card.read(min(left, MIB))
                if not piece:
                    break
                out.write(piece)
                left -= len(piece)
        replay = subprocess.run(["e2fsck", "-p", str(copy)], capture_output=True, text=True)
        check(replay.returncode in (0, 1), f"the data partition is damaged: e2fsck -p ended with {replay.returncode}: {replay.stdout} {replay.stderr}")
        whole = subprocess.run(["e2fsck", "-f", "-n", str(copy)], capture_output=True, text=True)
        check(whole.returncode == 0, f"the data partition is not clean: {whole.stdout} {whole.stderr}")
        copy.unlink()

    def read_boot(self, name):
        start, _ = partitions(self.card)[0]
        found = subprocess.run(["mtype", "-i", f"{self.card}@@{start}", f"::{name}"], capture_output=True)
        return found.stdout.decode(errors="replace") if found.returncode == 0 else None

    def write_boot(self, name, text):
        start, _ = partitions(self.card)[0]
        source = self.directory / "file"
        source.write_bytes(text.encode())
        run("mcopy", "-o", "-i", f"{self.card}@@{start}", str(source), f"::{name}")

    def spoil(self, part):
        """Overwrites the beginning of a system with noise."""
        start, _ = partitions(self.card)[part - 1]
        with open(self.card, "r+b") as card:
            card.seek(start)
            card.write(random.Random(part).randbytes(4 * MIB))

    def records(self):
        """The two records of which system starts, newest first: written a second time here, from docs/appliance.md."""
        found = []
        with open(self.card, "rb") as card:
            for offset in SLOT_OFFSETS:
                card.seek(offset)
                sector = card.read(512)
                if sector[:8] == b"PRZSLOT1" and zlib.crc32(sector[:44]) == struct.unpack("<I", sector[44:48])[0]:
                    sequence, good, trial, tries, outcome, _, boots = struct.unpack("<QBBBBIQ", sector[8:32])
                    found.append({"sequence": sequence, "good": good, "trial": trial, "tries": tries, "outcome": outcome, "boots": boots})
        return sorted(found, key=lambda record: -record["sequence"])

    def try_out(self, slot, tries):
        """As an update would: this slot is on trial from the next start on."""
        newest = self.records()[0]
        body = b"PRZSLOT1" + struct.pack("<QBBBBIQ", newest["sequence"] + 1, newest["good"], slot + 1, tries, 1, 0, newest["boots"]) + bytes(12)
        with open(self.card, "r+b") as card:
            card.seek(SLOT_OFFSETS[(newest["sequence"]) % 2])
            card.write((body + struct.pack("<I", zlib.crc32(body))).ljust(512, b"\0"))


# --- the printers ------------------------------------------------------------------------------------------------------


class Simulator:
    def __init__(self, program, printers):
        words = [str(program), "--rate", "1", "--factor", str(FACTOR), "--until-stdin-ends"]
        for number in range(printers):
            words += ["--printer", f"x1c,01P00A00000000{number + 1},1234567{number + 1}"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        check(line, "the simulator does not start")
        ready = json.loads(line)
        self.printers, self.control = ready["printers"], ready["control"]

    def command(self, index, order):
        request = urllib.request.Request(f"{self.control}/printers/{index}/command", data=json.dumps(order).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def add_printer(board, simulator, index):
    one = simulator.printers[index]
    connection = {"ip_address": HOST, "serial_number": one["serial"], "access_code": one["access_code"],
                  "mqtt_port": one["port"], "ftps_port": one["ftps_port"]}
    answer = board.api.json("POST", "/api/v1/printers", {"name": one["name"], "printer_type": "bambu_lab", "connection_config": connection})
    identity = answer["id"] if "id" in answer else answer["printer"]["id"]
    board.until(f"printer {index} to be heard", lambda: board.api.json("GET", f"/api/v1/printers/{identity}/status")["status"] == "idle")
    return identity


def start_print(simulator, index, name, seconds):
    plan = {"name": name, "source": "cloud", "layers": 20, "print_seconds": seconds, "outcome": "finished", "file": {"size": 200_000}}
    simulator.command(index, {"command": "start_print", "plan": plan})


def jobs(board):
    return board.api.json("GET", "/api/v1/jobs?limit=200")["jobs"]


def job_called(board, name):
    return next((job for job in jobs(board) if name in json.dumps(job)), None)


def picture(board, job):
    """Whether the picture of a job's file is there, as a PNG."""
    job = board.api.json("GET", f"/api/v1/jobs/{job['id']}")
    if not job.get("file_id"):
        return None
    status, data = board.api.ask("GET", f"/api/v1/files/{job['file_id']}/thumbnail")
    return data if status == 200 and data.startswith(b"\x89PNG") else None


# --- the parts -----------------------------------------------------------------------------------------------------------


def no_unit_failed(report):
    check(report["failed"] == [], f"failed units: {report['failed']}")
    check(report["state"] == "running", f"the system is {report['state']}")


def life(board, simulator):
    """From the first start to the end of a print."""
    board.start()
    wall = board.answers()
    say(f"first start: the page answers {wall:.1f} s after QEMU was started")
    health = board.api.json("GET", "/api/v1/health")
    check(health["status"] in ("healthy", "degraded"), f"health says {health['status']}: {health}")
    report = board.report()
    no_unit_failed(report)
    check(report["slot"] == "A", f"system {report['slot']} runs on a fresh card")
    check(report["notices"] == [], f"something is odd on a fresh card: {report['notices']}")
    check(report["data"] is not None and " ext4 " in report["data"], f"the data partition is not mounted: {report['data']}")
    start, length = partitions(board.card)[3]
    check(start + length == CARD_BYTES, f"the data partition ends at {start + length} instead of the card's end {CARD_BYTES}")
    check(report["data_bytes"] > 100 * MIB, f"the data file system has {report['data_bytes']} bytes and did not grow")
    say(f"memory in the guest, idle: {report['memory_used_kib']} KiB used ({report['memory_total_kib']} in all), service {report['service_rss_kib']} KiB")
    console = board.console()
    check(re.search(r"http://10\.0\.2\.15/", console), "the console does not show the address")

    for index in range(len(simulator.printers)):
        add_printer(board, simulator, index)
    start_print(simulator, 0, "Boot test", 300)
    job = board.until("the job", lambda: job_called(board, "Boot test"))
    board.until("the picture of the print", lambda: picture(board, job))
    say("the print's file was fetched and its picture is there")
    board.until("the end of the print", lambda: board.api.json("GET", f"/api/v1/jobs/{job['id']}")["status"] == "completed")
    report = board.report()
    no_unit_failed(report)
    say(f"memory in the guest with {len(simulator.printers)} printers after a print: {report['memory_used_kib']} KiB used, service {report['service_rss_kib']} KiB")
    return job["id"]


def cuts(board, simulator, count, moments):
    """Cuts at random moments of prints."""
    if board.process is None:
        board.start()
        board.answers()
    if not board.api.json("GET", "/api/v1/printers").get("printers"):
        add_printer(board, simulator, 0)
    done = {job["id"]: job["status"] for job in jobs(board) if job["status"] == "completed"}
    for number in range(1, count + 1):
        name = f"Cut {number}"
        start_print(simulator, 0, name, 250)
        # From before the record is made to past the end of the print.
        moment = moments.uniform(0.2, 45)
        deadline = time.monotonic() + moment
        seen, newest = dict(done), 0
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                seen.update({job["id"]: job["status"] for job in jobs(board)})
                newest = max(newest, board.api.json("GET", "/api/v1/events/stats").get("newest_seq") or 0)
            time.sleep(0.3)
        board.cut()
        board.examine()
        board.start()
        wall = board.answers()
        now = {job["id"]: job["status"] for job in jobs(board)}
        lost = [job for job in seen if job not in now]
        check(not lost, f"jobs {lost} that had been shown are gone")
        undone = [job for job, status in seen.items() if status == "completed" and now[job] != "completed"]
        check(not undone, f"jobs {undone} had been completed and are not any more")
        job = board.until(f"the end of {name} after the cut",
                          lambda: next((one for one in jobs(board) if name in json.dumps(one) and one["status"] == "completed"), None))
        check(board.until("its picture", lambda: picture(board, job)), "no picture")
        same = [one for one in jobs(board) if name in json.dumps(one)]
        check(len(same) == 1, f"{len(same)} jobs for one print: {same}")
        report = board.report()
        no_unit_failed(report)
        check(report["notices"] == [], f"after a cut: {report['notices']}")
        done[job["id"]] = "completed"
        say(f"cut {number}: {moment:.1f} s into a print; file system clean, page after {wall:.1f} s, {len(seen)} jobs kept, the print was followed to its end")


def slots(board):
    """A broken system gives way to the other one."""
    board.cut()
    boots = board.records()[0]["boots"] if board.records() else 0
    if boots == 0:
        board.start()
        board.answers()
        board.cut()
        boots = board.records()[0]["boots"]
    board.spoil(3)
    board.try_out(1, 2)
    board.start()
    board.answers()
    report = board.report()
    no_unit_failed(report)
    check(report["slot"] == "A", f"system {report['slot']} runs although B is broken")
    check(any("System B could not be started" in notice for notice in report["notices"]), f"nobody says so: {report['notices']}")
    board.cut()
    newest = board.records()[0]
    check((newest["good"], newest["trial"], newest["outcome"]) == (0, 0, 4), f"the record says {newest}")
    check(newest["boots"] == boots + 1, f"{newest['boots']} starts are counted, {boots + 1} were made")
    say("system B on trial and broken: A starts at once, the record says that B cannot be started")


def slots_reversed(board, image):
    """The good system itself is broken."""
    board.cut()
    start_b, length = partitions(board.card)[2]
    with open(image, "rb") as source, open(board.card, "r+b") as card:
        source.seek(start_b)
        card.seek(start_b)
        card.write(source.read(length))
    board.spoil(2)
    board.start()
    board.answers()
    report = board.report()
    no_unit_failed(report)
    check(report["slot"] == "B", f"system {report['slot']} runs although A is broken")
    check(any("System A could not be started" in notice for notice in report["notices"]), f"nobody says so: {report['notices']}")
    board.cut()
    say("system A broken: B starts at once")


SETTINGS = """[wifi]\r
ssid = Home\r
password = \u201ccorrect horse\u201d\r
country = DE\r
\r
[web]\r
name = attic\r
\r
[[printers]]\r
name = Written\r
type = bambu_lab\r
host = 10.0.2.2\r
serial = 01P00A000000077\r
access_code = 87654321\r
\r
[[printers]]\r
name = Wrong\r
type = makerbot\r
host = 10.0.2.2\r
"""


def settings(board):
    """printernizer.toml on the boot partition."""
    board.cut()
    board.write_boot("printernizer.toml", SETTINGS)
    board.start()
    board.answers()
    report = board.report()
    no_unit_failed(report)
    check(any("Line 18" in notice for notice in report["notices"]), f"the mistake is not told: {report['notices']}")
    warnings = json.dumps(board.api.json("GET", "/api/v1/health"))
    check("Line 18" in warnings, f"the API does not tell the mistake: {warnings}")
    names = [one["name"] for one in board.api.json("GET", "/api/v1/printers")["printers"]]
    check("Written" in names and "Wrong" not in names, f"printers are {names}")
    check("http://attic.local/" in board.console(), "the console does not show the new name")
    board.cut()
    left = board.read_boot("printernizer.toml")
    check(left is not None and "correct horse" not in left and "87654321" not in left, "secrets stand on the boot partition still")
    check(len(left.encode()) == len(SETTINGS.encode()), "the file has another length")
    result = board.read_boot("RESULT.TXT")
    check(result is not None and "Line 18" in result and "Wi-Fi \"Home\"" in result, f"RESULT.TXT: {result}")
    start, length = partitions(board.card)[0]
    with open(board.card, "rb") as card:
        card.seek(start)
        raw = card.read(length)
    for secret in (b"correct horse", b"87654321"):
        check(secret not in raw, "a secret can still be found in the bytes of the boot partition")
    say("printernizer.toml: taken over, secrets gone from every byte of the boot partition, the mistake told on the card and on the page")


def gadget(board):
    """The adapter at the USB cable, with a played cable: its other end is in the guest too."""
    board.cut()
    board.start("modules_load=dummy_hcd")
    board.answers()
    report = board.report()
    no_unit_failed(report)
    board.until("the address of the adapter on the console", lambda: "http://192.168.7.1/" in board.console())
    board.until("the address that the computer gets", lambda: re.search(r"http://192\.168\.7\.1[0-9]/", board.console()))
    board.cut()
    say("the adapter at the USB cable comes up, and the other end of the cable gets an address from it")


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", choices=["life", "cuts", "slots", "settings", "gadget"])
    parser.add_argument("--keep")
    parser.add_argument("--image", default=str(REPOSITORY / "target/image/printernizer-zero.img"))
    parser.add_argument("--simulator", default=str(REPOSITORY / "target/debug/simulator"))
    arguments = parser.parse_args()
    for tool in ("qemu-system-arm", "mcopy", "e2fsck"):
        if shutil.which(tool) is None:
            sys.exit(f"boot-test.py: error: no {tool}; apt-get install qemu-system-arm mtools e2fsprogs")
    for needed in (arguments.image, arguments.simulator):
        if not os.path.exists(needed):
            sys.exit(f"boot-test.py: error: no {needed}: image-build/build-image.sh, cargo build -p simulator")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    say(f"--seed {seed}")
    moments = random.Random(seed)
    wanted = lambda name: arguments.only in (None, name)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boot-test-")))
        simulator = Simulator(arguments.simulator, 4)
        stack.callback(simulator.stop)
        board = Board(directory, pathlib.Path(arguments.image))
        stack.callback(board.cut)
        try:
            if wanted("life"):
                life(board, simulator)
            if wanted("cuts"):
                cuts(board, simulator, arguments.cuts, moments)
            if wanted("settings"):
                settings(board)
            if wanted("gadget"):
                gadget(board)
            if wanted("slots"):
                slots(board)
                slots_reversed(board, arguments.image)
        except Failed as failure:
            print(f"boot-test.py: error: {failure}", file=sys.stderr)
            if board.log.exists():
                print(f"--- the console's last lines\n{board.tail()}", file=sys.stderr)
            if arguments.keep:
                board.cut()
                shutil.copytree(directory, arguments.keep, dirs_exist_ok=True)
            sys.exit(1)
        if arguments.keep:
            board.cut()
            shutil.copytree(directory, arguments.keep, dirs_exist_ok=True)
    say("the card works")


main()
