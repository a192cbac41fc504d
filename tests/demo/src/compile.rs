//! Builds the two programs with the cargo that runs the demo, in the demo's own profile.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The two programs.
#[derive(Debug)]
pub struct Programs {
    /// `printernizer`.
    pub service: PathBuf,
    /// `simulator`.
    pub simulator: PathBuf,
}

/// Builds both in one go, so that what they have in common is built once. The simulator asks no feature of a common
/// dependency that the product does not ask too, so the product is the same as when built alone.
///
/// # Errors
/// A sentence; the compiler's own words went to standard error.
pub fn build() -> Result<Programs, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let output = Command::new(&cargo)
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(["--package", "printernizer", "--bin", "printernizer"])
        .args(["--package", "simulator", "--bin", "simulator"])
        .args(["--profile", &profile()])
        .arg("--manifest-path")
        .arg(&manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start {}: {error}", cargo.display()))?;
    if !output.status.success() {
        return Err("building printernizer and the simulator failed; see above".into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let find = |name| executable(&messages, name).ok_or(format!("cargo did not say where it put {name}"));
    Ok(Programs { service: find("printernizer")?, simulator: find("simulator")? })
}

/// The profile that the demo was built in, which is the name of the directory it lies in.
fn profile() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    match program.parent().and_then(Path::file_name).and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".into(),
        Some(name) => name.into(),
    }
}

fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(name))
        .find_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let messages = "noise\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"simulator\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"simulator\"},\"executable\":\"/t/simulator\"}\n";
        assert_eq!(executable(messages, "simulator"), Some(PathBuf::from("/t/simulator")));
        assert_eq!(executable(messages, "printernizer"), None);
    }
}
