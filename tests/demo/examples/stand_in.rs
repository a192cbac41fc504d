//! Stands in for both programs in the demo's own tests: called with `serve` it is a service that knows only how to
//! take printers, otherwise a simulator of nothing. `STAND_IN_FAILS` makes the service end at once.

use std::io::{Read, Write};
use std::net::TcpListener;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name);
        position.and_then(|position| arguments.get(position + 1)).cloned().unwrap_or_default()
    };
    if arguments.first().is_some_and(|first| first == "serve") {
        serve(&value("--listen"));
    } else {
        let printers: Vec<_> = (0..value("--printers").parse().unwrap_or(0))
            .map(|number| {
                serde_json::json!({
                    "name": format!("printer {number}"), "kind": "bambu_lab", "host": "127.0.0.1",
                    "port": 1, "ftps_port": 2, "serial": format!("S{number}"), "access_code": "12345678",
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "printers": printers, "control": "http://127.0.0.1:1" }));
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    }
}

fn serve(address: &str) {
    if std::env::var_os("STAND_IN_FAILS").is_some() {
        eprintln!("the stand-in has nothing to say for itself");
        return;
    }
    let Ok(listener) = TcpListener::bind(address) else { return };
    for mut socket in listener.incoming().flatten() {
        let mut request = vec![0; 4_096];
        let count = socket.read(&mut request).unwrap_or(0);
        request.truncate(count);
        let text = String::from_utf8_lossy(&request).into_owned();
        eprintln!("{}", text.replace("\r\n", " "));
        let status = if text.starts_with("POST") { "201 Created" } else { "200 OK" };
        let _ = write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
    }
}
