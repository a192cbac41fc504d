//! `report`: what the boot test wants to know of the inside, one line of JSON on the serial console.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use super::{Error, Runner};
use crate::base::clock::Clock;

/// Bytes of a file below `/proc` that are read.
const PROC_BYTES_MAX: u64 = 64 * 1024;

/// Writes the line.
pub(super) fn run(root: &Path, runner: &mut dyn Runner) -> Result<(), Error> {
    let mut ask = |words: &[&str]| runner.run("systemctl", words).map(|(_, text)| text).unwrap_or_default();
    let failed = ask(&["list-units", "--state=failed", "--plain", "--no-legend", "--no-pager"]);
    let failed: Vec<&str> = failed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let state = ask(&["is-system-running"]);
    let process = ask(&["show", "--property=MainPID", "--value", "printernizer.service"]);
    let read =
        |name: &str| board::read_proc(&root.join(name).to_string_lossy(), PROC_BYTES_MAX).unwrap_or_default();
    let memory = read("proc/meminfo");
    let [total, free, available, buffers, cached, slab] =
        ["MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SReclaimable:"]
            .map(|field| number(&memory, field));
    let line = json!({
        "failed": failed,
        "state": state.trim(),
        "memory_total_kib": total,
        "memory_available_kib": available,
        // As `free` counts it.
        "memory_used_kib": total.saturating_sub(free + buffers + cached + slab),
        "service_rss_kib": number(&read(&format!("proc/{}/status", process.trim())), "VmRSS:"),
        "uptime_s": read("proc/uptime").split_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok()),
        "slot": read("run/printernizer/slot").trim(),
        "boots": read("run/printernizer/boots").trim().parse::<u64>().ok(),
        "data": read("proc/mounts").lines().find(|line| line.split(' ').nth(1) == Some("/data")),
        "data_bytes": board::free_space(&root.join("data")).map(|space| space.total_bytes),
        "clock": Clock::system().now().wall.0 / 1000,
        "clock_synchronized": root.join("run/systemd/timesync/synchronized").exists(),
        // Empty where the light is no pattern.
        "light": read("sys/class/leds/ACT/pattern").trim(),
        "notices": board::notices(root),
    });
    OpenOptions::new()
        .write(true)
        .open(root.join("dev/console"))
        .and_then(|mut console| console.write_all(format!("\r\nREPORT {line}\r\n").as_bytes()))
        .map_err(Error::io("the console cannot be written"))
}

fn number(text: &str, field: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io;

    struct Systemctl;

    impl Runner for Systemctl {
        fn run(&mut self, _: &str, words: &[&str]) -> io::Result<(Option<i32>, String)> {
            let text = match words[0] {
                "list-units" => "x.service loaded failed failed X\n",
                "show" => "77\n",
                _ => "degraded\n",
            };
            Ok((Some(0), text.to_owned()))
        }
    }

    #[test]
    fn the_line_says_what_is() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "proc/meminfo",
                "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 700 kB\nBuffers: 10 kB\nCached: 100 kB\n",
            ),
            ("proc/77/status", "VmRSS:\t 8000 kB\n"),
            ("run/printernizer/slot", "B\n"),
            ("sys/class/leds/ACT/pattern", "1 60 1 0 0 3940 0 0\n"),
            ("proc/mounts", "/dev/mmcblk0p4 /data ext4 rw 0 0\n"),
            ("dev/console", ""),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        }
        run(root.path(), &mut Systemctl).unwrap();
        let line = fs::read_to_string(root.path().join("dev/console")).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(line.trim().strip_prefix("REPORT ").unwrap()).unwrap();
        assert!(json["clock"].as_i64().unwrap() > 1_700_000_000);
        assert_eq!(json["failed"], json!(["x.service"]));
        assert_eq!(
            (&json["memory_used_kib"], &json["service_rss_kib"], &json["slot"]),
            (&json!(390), &json!(8000), &json!("B"))
        );
        assert_eq!(json["light"], "1 60 1 0 0 3940 0 0");
    }
}
