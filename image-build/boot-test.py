#!/usr/bin/env python3
"""Boots the card in an emulated Raspberry Pi Zero (qemu-system-arm -M raspi0) and lives with it for a while.

Usage: boot-test.py [--cuts N] [--seed N] [--only NAME] [--counted] [--keep DIR]
  --cuts N     power cuts at random moments of prints (default 3)
  --seed N     repeats the moments of an earlier run; each run prints its own
  --only NAME  one part: life, cuts, slots, settings, wireless
  --counted    two nanoseconds of the guest for each instruction instead of 16, for figures that can be compared with a real board's.
               Its printers, which live in the host's time, may find it slow
  --keep DIR   leave the card and the console logs there
Needs target/image/printernizer-zero.img (build-image.sh), the simulator (cargo build -p simulator), qemu-system-arm, mtools,
e2fsprogs, iproute2. Runs in a network of its own that has loopback only. Everything that it starts ends with it.

The test plays the board's firmware: it takes kernel, initrd.img, device tree and command line from the card's own boot
partition before each start. It plays the internet's time too. What QEMU cannot show is the firmware itself, the watchdog, the wireless
chip, HDMI, and a real card's timing.

What is proved: page and API answer over the forwarded port; a simulated Bambu printer on the host is added through the API and a
print is followed to its picture and its end; no unit fails; memory; the clock begins at the image's time, or at the saved one, and
the service says so until a time server has answered; a wireless network is joined, and a wrong password or name is told while the
USB cable leads in; after each cut the card starts, nothing that was told as done is lost, and
the file system is whole; a broken system gives way to the other one,
at once where a look finds it, after three starts in vain where none does.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time

from emulated import (CARD_BYTES, FACTOR, HOST, MIB, Board, Failed, Internet, Simulator, alone, check, name_server_is_here, partitions,
                      say, time_of_contents)

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
# Seconds after which the data partition's file system has written what nobody asked it to: more than its `commit`.
COMMIT_SECONDS = 20
# Nanoseconds for an instruction of the guest, as a power of two: 16, at which its time passes about as fast as the host's.
BESIDE_HOST = 4
# Starts without a word after which a system gives way; written a second time here, from docs/appliance.md.
SILENT_STARTS = 3
# Simulated seconds in a real one while a printer waits for the board.
STANDSTILL = 0.01
# How it stands with a printer that is heard.
HEARD = ("idle", "preparing", "printing", "finished")


# --- the printers ------------------------------------------------------------------------------------------------------


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


# What the light plays, lit and dark in turns, in milliseconds: written a second time here, from docs/operations.md. Which of them
# is lit is a matter of the board's wiring.
FINE, ATTENTION = [60, 3940], [200, 200, 200, 1400]


def light(report):
    """The light's pattern, without the steps that take no time."""
    return [int(time) for time in report["light"].split()[1::2] if time != "0"]


def says(report, sentence):
    """The report, where one of its notices holds the sentence."""
    return report if any(sentence in notice for notice in report["notices"]) else None


def nothing_odd(report):
    """The report, where nothing is told to people."""
    return report if report["notices"] == [] else None


def no_unit_failed(report):
    check(report["failed"] == [], f"failed units: {report['failed']}")
    check(report["state"] == "running", f"the system is {report['state']}")


def nobody_told_the_time(board, report, since):
    """Before a time server has answered: the clock goes on from where it was, and the service says that it does not know the time."""
    check(not report["clock_synchronized"], "the time is known although nobody told it")
    check(since <= report["clock"] < since + 3600, f"the clock says {report['clock']} instead of little more than {since:.0f}")
    check(board.api.json("GET", "/api/v1/health")["clock_synced"] is False, "the service believes a clock that nobody has set")


def known_by_record(board, job):
    """Whether a job's record says that the time was known."""
    status, table = board.api.ask("GET", "/api/v1/jobs/export")
    check(status == 200, f"the export answered {status}")
    rows = [row for row in csv.DictReader(io.StringIO(table.decode("utf-8-sig"))) if row["id"] == job["id"]]
    check(len(rows) == 1, f"{len(rows)} rows for one job in {table[:400]!r}")
    check(rows[0]["clock_synced"] in ("true", "false"), f"the export says {rows[0]}")
    return rows[0]["clock_synced"] == "true"


def life(board, simulator, internet):
    """From the first start to the end of a print; the time becomes known in the middle of it."""
    internet.answers = False
    board.start()
    wall = board.answers()
    health = board.api.json("GET", "/api/v1/health")
    say(f"first start: the page answers {wall:.1f} s after QEMU was started, {health['board']['uptime_s']} s of the guest's time")
    check(health["status"] in ("healthy", "degraded"), f"health says {health['status']}: {health}")
    report = board.report()
    no_unit_failed(report)
    check(report["slot"] == "A", f"system {report['slot']} runs on a fresh card")
    check(report["notices"] == [], f"something is odd on a fresh card: {report['notices']}")
    check(report["data"] is not None and " ext4 " in report["data"], f"the data partition is not mounted: {report['data']}")
    board.until("the light of a board that is well", lambda: light(board.report()) == FINE)
    start, length = partitions(board.card)[3]
    check(start + length == CARD_BYTES, f"the data partition ends at {start + length} instead of the card's end {CARD_BYTES}")
    check(report["data_bytes"] > 700 * MIB, f"the data file system has {report['data_bytes']} bytes and did not grow")
    say(f"memory in the guest, idle: {report['memory_used_kib']} KiB used ({report['memory_total_kib']} in all), service {report['service_rss_kib']} KiB")
    nobody_told_the_time(board, report, time_of_contents(board.card))

    for index in range(len(simulator.printers)):
        add_printer(board, simulator, index)
    start_print(simulator, 0, "Boot test", 300)
    job = board.until("the job", lambda: job_called(board, "Boot test"))
    check(not known_by_record(board, job), "the job's record claims that the time is known")
    internet.answers = True
    board.until("the time", lambda: board.api.json("GET", "/api/v1/health")["clock_synced"])
    board.until("the picture of the print", lambda: picture(board, job))
    say("the print's file was fetched and its picture is there")
    board.until("the end of the print", lambda: board.api.json("GET", f"/api/v1/jobs/{job['id']}")["status"] == "completed")
    report = board.report()
    no_unit_failed(report)
    check(report["clock_synchronized"] and abs(report["clock"] - internet.now()) < 120,
          f"the clock says {report['clock']} instead of {internet.now():.0f}")
    check(not known_by_record(board, job), "the record of a print that began before the time was known has forgotten that")
    say("the time: unknown at first, and said so; then taken from a time server")
    say(f"memory in the guest with {len(simulator.printers)} printers after a print: {report['memory_used_kib']} KiB used, service {report['service_rss_kib']} KiB")
    return job["id"]


def cuts(board, simulator, internet, count, moments):
    """Cuts at random moments of prints."""
    if board.process is None:
        internet.answers = True
        board.start()
        board.answers()
        board.until("the time", lambda: board.api.json("GET", "/api/v1/health")["clock_synced"])
        known = board.report()["uptime_s"]
        # Nobody syncs the saved clock: it is on the card with the file system's next commit.
        board.until("the saved clock to be on the card", lambda: board.report()["uptime_s"] > known + COMMIT_SECONDS)
    # From here on nobody tells the time: what the card saved has to do.
    internet.answers = False
    if not board.api.json("GET", "/api/v1/printers").get("printers"):
        add_printer(board, simulator, 0)
    printer = board.api.json("GET", "/api/v1/printers")["printers"][0]["id"]
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
        # A start is short beside a print, which takes hours; this one takes seconds and has to wait.
        simulator.command(0, {"command": "set_factor", "factor": STANDSTILL})
        board.examine()
        board.start()
        wall = board.answers()
        board.until("the printer to be heard again", lambda: board.api.json("GET", f"/api/v1/printers/{printer}/status")["status"] in HEARD)
        simulator.command(0, {"command": "set_factor", "factor": FACTOR})
        now = {job["id"]: job["status"] for job in jobs(board)}
        lost = [job for job in seen if job not in now]
        check(not lost, f"jobs {lost} that had been shown are gone")
        kept = board.api.json("GET", "/api/v1/events/stats").get("newest_seq") or 0
        check(kept >= newest, f"the journal ends at {kept} and had been shown up to {newest}")
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
        nobody_told_the_time(board, report, internet.told)
        done[job["id"]] = "completed"
        say(f"cut {number}: {moment:.1f} s into a print; file system clean, page after {wall:.1f} s, {len(seen)} jobs kept, the print was followed to its end")


def gave_way(board, broken, other):
    """The other system runs in the same start, and people are told."""
    board.answers()
    report = board.report()
    no_unit_failed(report)
    check(report["slot"] == other, f"system {report['slot']} runs although {broken} is broken")
    check(says(report, f"System {broken} could not be started"), f"nobody says so: {report['notices']}")


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
    gave_way(board, "B", "A")
    board.cut()
    newest = board.records()[0]
    check((newest["good"], newest["trial"], newest["outcome"]) == (0, 0, 4), f"the record says {newest}")
    check(newest["boots"] == boots + 1, f"{newest['boots']} starts are counted, {boots + 1} were made")
    say("system B on trial and broken: A starts at once, the record says that B cannot be started")


def slots_reversed(board, image):
    """The good system itself is broken."""
    board.cut()
    board.restore(3, image)
    board.spoil(2)
    board.start()
    gave_way(board, "A", "B")
    board.cut()
    say("system A broken: B starts at once")


def slots_silent(board, image):
    """The good system looks whole and cannot run: every start ends in a panic."""
    board.cut()
    board.restore(2, image)
    board.spoil(2, MIB)
    for start in range(1, SILENT_STARTS + 1):
        board.start()
        board.until_it_ends()
        newest = board.records()[0]
        check(newest["silent"] == start, f"{newest['silent']} starts without a word are counted, {start} were made")
    for start in ("the first", "the next"):
        board.start()
        board.answers()
        report = board.report()
        no_unit_failed(report)
        check(report["slot"] == "B", f"system {report['slot']} runs although A never comes up")
        check(says(report, "never came up"), f"nobody says so: {report['notices']}")
        board.until("the word that it works", lambda: board.records()[0]["silent"] == SILENT_STARTS)
        board.cut()
        say(f"system A damaged in its middle: {start} start after {SILENT_STARTS} in vain is B's")


# Where a computer at the USB cable reaches the board, and the addresses that it gives the computer.
CABLE, COMPUTER = "http://192.168.7.1/", re.compile(r"http://192\.168\.7\.1[0-9]/")
# What the played wireless network gives the board.
JOINED = re.compile(r"http://192\.168\.77\.1[0-9]/")

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


def reached_by_cable(board):
    """The way in without any other network: the board is a network adapter, and the computer gets an address."""
    board.until("the address of the adapter on the console", lambda: CABLE in board.console())
    board.until("the address that the computer gets", lambda: COMPUTER.search(board.console()))


def settings(board):
    """printernizer.toml on the boot partition, with a mistake in it and a network that is not there: the way back is the USB cable.
    The wireless chip and the computer at the cable are played in the guest."""
    board.cut()
    board.write_boot("printernizer.toml", SETTINGS)
    board.start("modules_load=mac80211_hwsim,dummy_hcd mac80211_hwsim.radios=1")
    board.answers()
    report = board.report()
    no_unit_failed(report)
    check(any("Line 18" in notice for notice in report["notices"]), f"the mistake is not told: {report['notices']}")
    warnings = json.dumps(board.api.json("GET", "/api/v1/health"))
    check("Line 18" in warnings, f"the API does not tell the mistake: {warnings}")
    names = [one["name"] for one in board.api.json("GET", "/api/v1/printers")["printers"]]
    check("Written" in names and "Wrong" not in names, f"printers are {names}")
    check("http://attic.local/" in board.console(), "the console does not show the new name")
    say("printernizer.toml: taken over, the mistake told on the card and on the page")

    report = board.until("the sentence about the Wi-Fi network", lambda: says(board.report(), "Wi-Fi network cannot be found"))
    no_unit_failed(report)
    board.until("the light that calls a person", lambda: light(board.report()) == ATTENTION)
    check("Wi-Fi network cannot be found" in json.dumps(board.api.json("GET", "/api/v1/health")), "the API does not tell that there is no Wi-Fi")
    reached_by_cable(board)
    say("a Wi-Fi network that is not there: told on the page and by the light; the adapter at the USB cable gives the computer an address")

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
    say("the secrets are gone from every byte of the boot partition")


# A network that the board hears. The passwords are of one length and differ in a letter, as mistyped ones do.
PLAYED_NETWORK = """network={
	ssid="Dachboden \u00fcber uns"
	mode=2
	frequency=2437
	proto=RSN
	key_mgmt=WPA-PSK
	pairwise=CCMP
	psk="correct horse"
}
"""
WIRELESS = """[wifi]
ssid = "Dachboden \u00fcber uns"
password = "{}"
country = "DE"
"""


def wireless(board):
    """A wireless network that is there: a wrong password first, then the right one. Client, handshake and driver are the card's own;
    the radio waves and the network's other end are played in the guest."""
    board.cut()
    board.write_data("played-network.conf", PLAYED_NETWORK)
    board.write_boot("printernizer.toml", WIRELESS.format("correct house"))
    radios = "modules_load=mac80211_hwsim,dummy_hcd mac80211_hwsim.radios=2 printernizer.played-network"
    board.start(radios)
    board.answers()
    report = board.until("the sentence about the password", lambda: says(board.report(), "the password is wrong"))
    no_unit_failed(report)
    board.until("the light that calls a person", lambda: light(board.report()) == ATTENTION)
    check("the password is wrong" in json.dumps(board.api.json("GET", "/api/v1/health")), "the API does not tell that the password is wrong")
    reached_by_cable(board)
    check(not JOINED.search(board.console()), "the board joined the network with a wrong password")
    say("a wrong Wi-Fi password: told on the page and by the light; the adapter at the USB cable gives the computer an address")

    board.cut()
    board.write_boot("printernizer.toml", WIRELESS.format("correct horse"))
    board.start(radios)
    board.answers()
    board.until("the address that the wireless network gives", lambda: JOINED.search(board.console()))
    report = board.until("a report without complaints", lambda: nothing_odd(board.report()))
    no_unit_failed(report)
    board.until("the light of a board that is well", lambda: light(board.report()) == FINE)
    board.cut()
    check("correct horse" not in board.read_boot("printernizer.toml"), "the password stands on the boot partition still")
    say("the right Wi-Fi password: joined, with an address of that network, and nothing is complained of")


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", choices=["life", "cuts", "slots", "settings", "wireless"])
    parser.add_argument("--counted", action="store_true")
    parser.add_argument("--keep")
    parser.add_argument("--image", default=str(REPOSITORY / "target/image/printernizer-zero.img"))
    parser.add_argument("--simulator", default=str(REPOSITORY / "target/debug/simulator"))
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for tool in ("qemu-system-arm", "mcopy", "e2fsck", "debugfs", "ip", "unshare"):
        if shutil.which(tool) is None:
            sys.exit(f"boot-test.py: error: no {tool}; apt-get install qemu-system-arm mtools e2fsprogs iproute2 util-linux")
    for needed in (arguments.image, arguments.simulator):
        if not os.path.exists(needed):
            sys.exit(f"boot-test.py: error: no {needed}: image-build/build-image.sh, cargo build -p simulator")
    alone()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    say(f"--seed {seed}")
    moments = random.Random(seed)
    wanted = lambda name: arguments.only in (None, name)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boot-test-")))
        name_server_is_here(directory)
        internet = Internet()
        stack.callback(internet.stop)
        simulator = Simulator(arguments.simulator, 4)
        stack.callback(simulator.stop)
        board = Board(directory, pathlib.Path(arguments.image), 1 if arguments.counted else BESIDE_HOST)
        stack.callback(board.cut)
        try:
            if wanted("life"):
                life(board, simulator, internet)
            if wanted("cuts"):
                cuts(board, simulator, internet, arguments.cuts, moments)
            if wanted("settings"):
                settings(board)
            if wanted("wireless"):
                wireless(board)
            if wanted("slots"):
                slots(board)
                slots_reversed(board, arguments.image)
                slots_silent(board, arguments.image)
        except (Failed, OSError) as failure:
            print(f"boot-test.py: error: {failure}", file=sys.stderr)
            if board.log is not None:
                print(f"--- the console's last lines\n{board.tail()}\n{board.account()}", file=sys.stderr)
            sys.exit(1)
        finally:
            board.cut()
            if arguments.keep:
                shutil.copytree(directory, arguments.keep, dirs_exist_ok=True)
    say("the card works")


main()
