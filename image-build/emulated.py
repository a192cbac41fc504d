"""What boot-test.py boots and what stands around it: the emulated board with its card, the printers, the names and the time of
the internet. Everything is on loopback, in a network of its own (see alone()), and ends with the test.
"""

import contextlib
import ctypes
import http.client
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib

MIB = 1 << 20
LIBC = ctypes.CDLL(None)
# The card as QEMU takes it: a power of two, and the smallest that README.md names. The data partition grows into what is added.
CARD_BYTES = 1024 * MIB
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
# What the time servers of the internet tell lies this far ahead of the host, so that nobody can know it from elsewhere.
AHEAD_SECONDS = 400 * 86400
SLOT_OFFSETS = (1 * MIB, 3 * MIB)


class Failed(Exception):
    pass


def say(text):
    print(f"boot-test.py: {text}", flush=True)


def check(condition, text):
    if not condition:
        raise Failed(text)


def alone():
    """Goes into a network with nothing but loopback in it, by starting this program again: ports are free there, also those of
    name and time servers, and nothing that the guest sends can leave. Whoever looks for a name asks the test's own server."""
    if os.environ.get("BOOT_TEST_ALONE") != str(os.getpid()):
        # unshare and Python take the place of this process, so its number stays; a number from outside is another one.
        os.environ["BOOT_TEST_ALONE"] = str(os.getpid())
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        os.execvp("unshare", ["unshare", *user, "--net", "--mount", sys.executable, *sys.argv])
    run("ip", "link", "set", "lo", "up")


def name_server_is_here(directory):
    """QEMU sends the guest's questions for names to the host's name server: here it is loopback."""
    resolver = directory / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    run("mount", "--bind", str(resolver), os.path.realpath("/etc/resolv.conf"))


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


def time_of_contents(image):
    """The time of everything on the card, in seconds since 1970: it stands in a system's superblock."""
    start, _ = partitions(image)[1]
    with open(image, "rb") as file:
        file.seek(start)
        magic, _, made = struct.unpack("<4sII", file.read(12))
    check(magic == b"hsqs", "there is no system in slot A")
    return made


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300, **options)


def end_with_parent():
    """In a child: whatever ends the test ends it too, so that no board is left running. Other work goes first."""
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.nice(5)


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


# --- the internet ------------------------------------------------------------------------------------------------------


class Internet:
    """A name server that knows Debian's time servers, and the time server that they all are. It keeps silent until told to answer."""

    # Between 1900, where this protocol begins to count, and 1970.
    NTP_EPOCH = 2_208_988_800

    def __init__(self):
        self.answers = False
        # The first time that was told.
        self.told = None
        self.names, self.times = (self.listen(port) for port in (53, 123))
        self.ended, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @staticmethod
    def listen(port):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", port))
        return listener

    @staticmethod
    def now():
        """The time that is told."""
        return time.time() + AHEAD_SECONDS

    def serve(self):
        while True:
            ready, _, _ = select.select([self.names, self.times, self.ended], [], [])
            if self.ended in ready:
                return
            for listener in ready:
                question, sender = listener.recvfrom(2048)
                answer = self.name(question) if listener is self.names else self.time(question)
                if answer is not None:
                    listener.sendto(answer, sender)

    @staticmethod
    def name(question):
        """An address for whatever ends with pool.ntp.org, and for nothing else. The questions of resolvers hold one name each."""
        labels, at = [], 12
        while at < len(question) and question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].lower())
            at += 1 + question[at]
        if len(question) < at + 5:
            return None
        kind, asked = struct.unpack(">H", question[at + 1 : at + 3])[0], question[12 : at + 5]
        known = labels[-3:] == [b"pool", b"ntp", b"org"]
        found = known and kind == 1
        head = question[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, int(found), 0, 0)
        # The name is the one asked for, a minute long the address at which the guest finds the host's loopback.
        return head + asked + (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(HOST) if found else b"")

    def time(self, question):
        if not self.answers or len(question) < 48:
            return None
        self.told = self.told or self.now()
        now = self.now() + self.NTP_EPOCH
        stamp = struct.pack(">II", int(now) & 0xFFFFFFFF, int(now % 1 * (1 << 32)))
        # Version 4, a server of the second rank, a microsecond's precision; then the question's own stamp comes back.
        return struct.pack(">BBBbII4s", 0x24, 2, 6, -20, 0, 0, b"TEST") + stamp + question[40:48] + stamp + stamp

    def stop(self):
        self.end.close()
        self.thread.join(timeout=20)


# --- the board ---------------------------------------------------------------------------------------------------------


class Board:
    """One card, started and cut off as often as wanted."""

    def __init__(self, directory, image, shift):
        self.directory = directory
        # The guest's time is counted in instructions, 1 << shift nanoseconds each. With the host's time instead the guest stops for
        # ever sooner or later: Linux reads the counter, adds some microseconds and writes down the sum as when to be woken next. A
        # host that was busy elsewhere in between has let that moment pass, and QEMU wakes the guest when the counter has gone all the
        # way round, after 71 minutes. With "auto" a busy host makes instructions longer, until the ticks alone fill the guest's time.
        self.shift = shift
        self.card = directory / "card.img"
        run("cp", "--sparse=always", str(image), str(self.card))
        os.truncate(self.card, CARD_BYTES)
        self.starts = 0
        self.process = None
        self.port = None
        self.log = None
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

    def start(self, arguments=""):
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
             "-no-reboot", "-icount", f"shift={self.shift}",
             "-device", "usb-net,netdev=n0", "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-:80"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.directory / "qemu.log", "ab"),
            preexec_fn=end_with_parent,
        )

    def alive(self):
        check(self.process is not None and self.process.poll() is None, f"QEMU ended by itself:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.console().splitlines()[-40:])

    def account(self):
        """What the service says of itself, for whoever looks for the reason of a failure."""
        told = []
        for what in ("jobs?limit=20", "events/recent?limit=60", "system/logs?limit=100"):
            try:
                answer = json.loads(self.api.ask("GET", f"/api/v1/{what}", seconds=60)[1])
            except (AttributeError, OSError, ValueError) as error:
                return "\n".join([*told, f"--- {what}: {error}"])
            lines = next((value for value in answer.values() if isinstance(value, list)), [answer])
            told += [f"--- {what}", *(json.dumps(line) for line in lines)]
        return "\n".join(told)

    def until(self, what, look, seconds=STEP_SECONDS):
        return self.api.until(what, look, seconds, self.alive)

    def answers(self):
        """Waits for the page; returns the seconds since the start."""
        # Nothing is sent before the network is up: QEMU's USB network keeps what it cannot deliver.
        self.until("the address on the console", self.has_address, BOOT_SECONDS)
        self.until("the page", lambda: self.api.ask("GET", "/", seconds=5)[0] == 200, BOOT_SECONDS)
        return time.monotonic() - self.started

    def until_it_ends(self):
        """Waits for the end that a panic of the kernel makes: it asks for a restart, and QEMU ends instead."""
        self.api.until("the end of a start in vain", lambda: self.process.poll() is not None, BOOT_SECONDS)
        check("Kernel panic" in self.console(), f"it ended without a panic:\n{self.tail()}")
        self.process = None

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

    def take_data(self):
        """A copy of the data partition, with its journal replayed: what a mount would find. The card stays as the cut left it."""
        start, length = partitions(self.card)[3]
        copy = self.directory / "data.ext4"
        with open(self.card, "rb") as card, open(copy, "wb") as out:
            card.seek(start)
            left = length
            while left > 0:
                piece = card.read(min(left, MIB))
                if not piece:
                    break
                left -= len(piece)
                # Nearly all of it is empty: holes.
                if piece.strip(b"\0"):
                    out.write(piece)
                else:
                    out.seek(len(piece), os.SEEK_CUR)
            out.truncate(length)
        replay = subprocess.run(["e2fsck", "-p", str(copy)], capture_output=True, text=True)
        check(replay.returncode in (0, 1), f"the data partition is damaged: e2fsck -p ended with {replay.returncode}: {replay.stdout} {replay.stderr}")
        return copy

    def examine(self):
        """Is the data partition's file system whole, once its journal is replayed?"""
        copy = self.take_data()
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

    def write_data(self, name, text):
        """Writes a file onto the top of the data partition while the board is off, as root's own."""
        source = self.directory / "file"
        source.write_bytes(text.encode())
        source.chmod(0o600)
        # On a copy: neither of the tools can be told the place in the card in every step.
        copy = self.take_data()
        for order in (f"rm {name}", f"write {source} {name}"):
            run("debugfs", "-w", "-R", order, str(copy))
        # It ends well whatever happened.
        there = run("debugfs", "-R", f"cat {name}", str(copy)).stdout.decode()
        check(there == text, f"{name} is on the data partition as {there!r}")
        start, _ = partitions(self.card)[3]
        with open(copy, "rb") as changed, open(self.card, "r+b") as card:
            card.seek(start)
            while piece := changed.read(MIB):
                if card.read(len(piece)) != piece:
                    card.seek(-len(piece), os.SEEK_CUR)
                    card.write(piece)
        copy.unlink()

    def restore(self, part, image):
        """Puts a system back as the image has it."""
        start, length = partitions(self.card)[part - 1]
        with open(image, "rb") as source, open(self.card, "r+b") as card:
            source.seek(start)
            card.seek(start)
            card.write(source.read(length))

    def spoil(self, part, behind=0):
        """Overwrites the beginning of a system with noise, or what comes so many bytes behind it."""
        start, _ = partitions(self.card)[part - 1]
        with open(self.card, "r+b") as card:
            card.seek(start + behind)
            card.write(random.Random(part).randbytes(4 * MIB))

    def records(self):
        """The two records of which system starts, newest first: written a second time here, from docs/appliance.md."""
        found = []
        with open(self.card, "rb") as card:
            for offset in SLOT_OFFSETS:
                card.seek(offset)
                sector = card.read(512)
                if sector[:8] == b"PRZSLOT1" and zlib.crc32(sector[:44]) == struct.unpack("<I", sector[44:48])[0]:
                    sequence, good, trial, tries, outcome, _, boots, silent = struct.unpack("<QBBBBIQB", sector[8:33])
                    found.append({"sequence": sequence, "good": good, "trial": trial, "tries": tries, "outcome": outcome, "boots": boots,
                                  "silent": silent})
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
