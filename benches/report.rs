//! The way of one report from plaintext to the latest-value cell, to be counted in instructions:
//!
//! ```text
//! cargo bench --bench report --no-run
//! valgrind --tool=callgrind target/release/deps/report-* delta 1000     # and once more with 2000
//! ```
//! The difference of the two totals over 1000 is the cost of one report; `scripts/count-instructions.sh` does that.

use std::hint::black_box;

use printernizer::base::latest::Latest;
use printernizer::model::{ConnectionState, PrinterState};
use printernizer::printers::bambu::Reports;

/// A delta as an A1 sends one every two seconds while it prints: 150 bytes.
const DELTA: &str = r#"{"print":{"nozzle_temper":219.96875,"bed_temper":54.90625,"mc_percent":43,"layer_num":12,"command":"push_status","msg":1,"sequence_id":"12345"}}        "#;

/// A full report of about 5 KB: 60 plain fields, four AMS trays, health messages, and what nobody reads.
fn full() -> String {
    let trays: Vec<String> = (0..4)
        .map(|id| {
            format!(
                r#"{{"id":"{id}","remain":{},"k":0.02,"n":1,"cali_idx":-1,"tag_uid":"0000000000000000","tray_id_name":"","tray_info_idx":"GFL99","tray_type":"PLA","tray_sub_brands":"","tray_color":"FF{id}A42FF","tray_weight":"1000","tray_diameter":"1.75","tray_temp":"55","tray_time":"8","bed_temp_type":"0","bed_temp":"0","nozzle_temp_max":"230","nozzle_temp_min":"190","xcam_info":"000000000000000000000000","tray_uuid":"00000000000000000000000000000000","ctype":0,"cols":["FF{id}A42FF"]}}"#,
                id * 20
            )
        })
        .collect();
    let unread: Vec<String> =
        (0..40).map(|number| format!(r#""field_{number}":{{"a":{number},"b":"text {number}"}}"#)).collect();
    format!(
        r#"{{"print":{{"command":"push_status","msg":0,"gcode_state":"RUNNING","subtask_name":"Würfel","gcode_file":"Würfel.3mf","print_type":"cloud","subtask_id":"626732162","task_id":"626732162","mc_percent":43,"mc_remaining_time":72,"layer_num":128,"total_layer_num":298,"stg_cur":0,"print_error":0,"nozzle_temper":219.9,"nozzle_target_temper":220,"bed_temper":55.1,"bed_target_temper":55,"chamber_temper":5,"cooling_fan_speed":"15","wifi_signal":"-49dBm","hms":[{{"attr":50336000,"code":131074}}],"ams":{{"tray_now":"1","tray_exist_bits":"f","ams":[{{"id":"0","humidity":"4","temp":"0.0","tray":[{}]}}]}},{}}}}}"#,
        trays.join(","),
        unread.join(",")
    )
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let kind = arguments.next().unwrap_or_else(|| "delta".into());
    let count: u32 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1000);
    let full = full();
    let mut reports = Reports::default();
    reports.apply(full.as_bytes());
    let cell = Latest::new(PrinterState::default());
    let payload = if kind == "full" { full.as_str() } else { DELTA };
    for _ in 0..count {
        reports.apply(black_box(payload.as_bytes()));
        let seen = reports.observe();
        let state = PrinterState {
            status: seen.status,
            connection: ConnectionState::Monitoring,
            fresh: true,
            seen,
            ..PrinterState::default()
        };
        cell.set(state);
    }
    println!(
        "{kind}: {} bytes, {count} times, progress {:?}",
        payload.len(),
        black_box(cell.get()).seen.progress
    );
}
