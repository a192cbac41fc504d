//! The real binary: exit codes and what it says.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

struct Bench {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

fn bench() -> Bench {
    Bench { dir: tempfile::tempdir().expect("a directory"), variables: Vec::new() }
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "the file of a test need not survive a power cut")]
    fn file(&self, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.dir.path().join("p.toml");
        fs::write(&file, text).expect("written");
        file
    }

    fn with(mut self, name: &'static str, text: &'static str) -> Bench {
        self.variables.push((name, text));
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_printernizer"));
        // Nothing of the machine that runs the tests may matter.
        command.env_clear().envs(self.variables.iter().copied()).current_dir(self.dir.path()).args(words);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(words).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status.code().expect("no signal"), text(stdout), text(stderr))
    }
}

#[test]
fn version_and_help() {
    for words in [&["version"][..], &["--version"], &["-V"]] {
        assert_eq!(
            bench().run(words),
            (0, format!("printernizer {}\n", env!("CARGO_PKG_VERSION")), String::new())
        );
    }
    for words in [&["--help"][..], &["help"], &["serve", "-h"]] {
        let (code, out, err) = bench().run(words);
        assert!(code == 0 && out.contains("Usage: printernizer COMMAND") && err.is_empty(), "{out}{err}");
    }
}

#[test]
fn wrong_words_end_with_2_and_a_hint() {
    for (words, said) in [
        (&[][..], "no command is given"),
        (&["dance"], "unknown command \"dance\""),
        (&["serve", "--fast"], "--fast"),
        (&["check-config", "--config"], "--config"),
        (&["events", "--after", "soon"], "found \"soon\"; allowed: the number of an event"),
        (&["events", "--url", "nowhere"], "--url: found \"nowhere\"; allowed: the address of a service"),
        (&["trace", "first"], "found \"first\""),
    ] {
        let (code, out, err) = bench().run(words);
        assert!(
            code == 2 && out.is_empty() && err.contains(said) && err.contains("--help"),
            "{words:?}: {code} {err}"
        );
    }
}

#[test]
fn a_good_configuration() {
    let bench = bench();
    assert_eq!(
        bench.run(&["check-config", "--config", "/dev/null"]),
        (0, "OK: /dev/null\n".to_owned(), String::new())
    );
    let file = bench.file("[web]\r\nlisten = \"127.0.0.1:1\"\r\n");
    let (code, out, err) = bench.run(&["check-config", "--config", file.to_str().expect("UTF-8")]);
    assert!(code == 0 && out.starts_with("OK: ") && err.is_empty(), "{out}{err}");
}

#[test]
fn every_mistake_is_shown_for_every_command_that_reads_the_configuration() {
    let bench = bench().with("PRINTERNIZER_STORAGE_JOURNAL_MAX", "1");
    bench.file("[web]\nlisten = \"0.0.0.0\"\nlisen = 1\n[log]\nlevel = 3\n");
    for command in [&["check-config"][..], &["serve"], &["config", "print"], &["events"], &["trace", "1"]] {
        let words = [command, &["--config", "p.toml", "--listen", "here"]].concat();
        let (code, out, err) = bench.run(&words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 5, "{err}");
        assert!(
            lines[0].starts_with("p.toml:2:10: web.listen: found \"0.0.0.0\"; allowed: an IPv4"),
            "{err}"
        );
        assert_eq!(
            lines[1],
            "p.toml:3:1: web: unknown key \"lisen\"; allowed: listen, name, password, private"
        );
        assert!(
            lines[2].starts_with("p.toml:5:9: log.level: found the number 3; allowed: \"error\""),
            "{err}"
        );
        assert!(
            lines[3].starts_with(
                "environment variable PRINTERNIZER_STORAGE_JOURNAL_MAX: storage.journal_max: found \"1\""
            ),
            "{err}"
        );
        assert!(lines[4].starts_with("--listen: web.listen: found \"here\""), "{err}");
    }
}

#[test]
fn files_that_are_none() {
    let bench = bench();
    let (code, _, err) = bench.run(&["check-config", "--config", "absent.toml"]);
    assert_eq!((code, err.as_str()), (2, "absent.toml: this file does not exist\n"));
    let (code, _, err) = bench.run(&["check-config", "--config", "."]);
    assert_eq!((code, err.as_str()), (2, ".: this is a directory; name a file\n"));
    bench.file(b"[web]\nname = \"B\xFCro\"\n");
    let (code, _, err) = bench.run(&["check-config", "--config", "p.toml"]);
    assert!(code == 2 && err.starts_with("p.toml:2:10: "), "{err}");
}

#[test]
fn the_effective_configuration_without_secrets() {
    let bench = bench().with("PRINTERNIZER_WEB_PASSWORD", "hunter2");
    bench.file("[[printers]]\nname = \"One\"\ntype = \"bambu_lab\"\nhost = \"10.0.0.9\"\naccess_code = \"hunter3\"\n");
    let (code, out, err) =
        bench.run(&["config", "print", "--config", "p.toml", "--listen", "[::1]:99", "--data", "here"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!out.contains("hunter"), "{out}");
    for part in [
        "listen = \"[::1]:99\"  # --listen",
        "# password is set and not shown  # environment variable PRINTERNIZER_WEB_PASSWORD",
        "host = \"10.0.0.9\"  # line 4",
        "# access_code is set and not shown  # line 5",
        "/here\"  # --data",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    bench.file(&out);
    assert_eq!(bench.run(&["check-config", "--config", "p.toml"]).0, 0);
}

#[test]
fn a_service_that_is_not_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port");
    let url = format!("http://{free}");
    for words in [&["events"][..], &["events", "--follow"], &["trace", "3"]] {
        let (code, out, err) = bench().run(&[words, &["--url", &url]].concat());
        assert!(code == 1 && out.is_empty() && err.contains("cannot be reached"), "{words:?} {code} {err}");
    }
}

#[test]
fn an_output_that_nobody_reads_is_no_failure() {
    let mut child = bench()
        .command(&["config", "print"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_self_test_passes_and_leaves_nothing() {
    let bench = bench();
    let (code, out, err) = bench.run(&["self-test", "--data", "."]);
    assert!(code == 0 && err.is_empty() && out.contains("all ") && !out.contains("FAILED"), "{out}{err}");
    assert_eq!(fs::read_dir(bench.dir.path()).expect("there").count(), 0);
    let (code, _, err) = bench.run(&["self-test", "--data", "/proc"]);
    assert!(code == 1 && err.contains("cannot be made"), "{err}");
}

#[test]
fn a_port_in_use_is_one_log_line_with_the_journals_level_where_it_listens() {
    use std::os::unix::fs::MetadataExt as _;

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let words = ["serve", "--listen", &address, "--data", "data"];
    let bench = bench();
    let (code, out, err) = bench.run(&words);
    let line = err.trim_end();
    assert!(code == 1 && out.is_empty() && !line.contains('\n'), "{code} {out}{err}");
    assert!(line.contains(&address) && line.contains("Z ERROR "), "{err}");

    // Standard error is what the variable names: the level goes in front, the time is the journal's business.
    let file = bench.dir.path().join("journal");
    let stderr = fs::File::create(&file).expect("made");
    let stat = stderr.metadata().expect("there");
    let named = format!("{}:{}", stat.dev(), stat.ino());
    let status =
        bench.command(&words).env("JOURNAL_STREAM", &named).stderr(stderr).status().expect("it runs");
    let line = fs::read_to_string(&file).expect("UTF-8");
    assert!(status.code() == Some(1) && line.starts_with("<3>") && !line.contains("ERROR"), "{line}");

    // It names something else: somebody has redirected standard error.
    let output = bench.command(&words).env("JOURNAL_STREAM", &named).output().expect("it runs");
    assert!(!output.stderr.starts_with(b"<"), "{output:?}");
}

/// The exit code tells whether something could be read, and the JSON has the names of the contract.
#[test]
fn inspect_tells_by_its_code_whether_something_could_be_read() {
    let bench = bench();
    let file = bench.file("; generated by Fork 1.2 on 2026-01-02 at 03:04:05 UTC\nG28\n;TIME:90\n");
    let file = file.to_str().expect("UTF-8");
    let (code, out, err) = bench.run(&["inspect", file, "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    for name in ["format", "sliced", "plate", "plate_count", "thumbnails", "metadata", "warnings", "error"] {
        assert!(answer.get(name).is_some(), "{name}");
    }
    assert_eq!(answer["format"], "gcode");
    assert_eq!(answer["metadata"]["print_time_s"], 90);
    assert_eq!(answer["metadata"]["slicer_version"], "1.2");
    assert!(answer["metadata"]["filament_used_g"].is_null());

    let (code, out, _) = bench.run(&["inspect", file]);
    assert!(code == 0 && out.contains("print time: 90 s  (gcode comment)"), "{out}");

    let (code, out, _) = bench.run(&["inspect", "nowhere.gcode", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &answer["error"]["kind"]), (1, &serde_json::json!("io")));
    let rubbish = bench.file("no print file at all\n");
    assert_eq!(bench.run(&["inspect", rubbish.to_str().expect("UTF-8")]).0, 1);

    for words in [
        &["inspect"][..],
        &["inspect", "a", "b"],
        &["inspect", "a", "--plate", "x"],
        &["inspect", "a", "--x"],
    ] {
        let (code, out, err) = bench.run(words);
        assert!(code == 2 && out.is_empty() && err.contains("usage: printernizer inspect FILE"), "{err}");
    }
}

#[test]
fn a_backup_of_nothing_says_where_it_looked_and_leaves_nothing() {
    let bench = bench();
    let (code, out, err) = bench.run(&["backup", "--data", "nowhere"]);
    assert!(code == 1 && out.is_empty() && err.contains("/nowhere: "), "{code} {out}{err}");
    let left: Vec<_> = fs::read_dir(bench.dir.path()).expect("a directory").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
