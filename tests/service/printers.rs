//! Simulated printers as the scenarios need them.

use simulator::bambu::{Command, Config, Model, PrintPlan, Printer, Source};

/// The access code of every honest printer here.
pub const CODE: &str = "12345678";

/// A serial number of `model`; keys are made once for each, so scenarios share them.
pub fn serial(model: Model, number: u32) -> String {
    format!("{}00A{number:09}", model.serial_prefix())
}

/// A printer whose reports are all the scenario's doing.
pub fn manual(model: Model) -> Printer {
    numbered(model, 1)
}

/// The same with another serial number.
pub fn numbered(model: Model, number: u32) -> Printer {
    Printer::start(Config::manual(model, &serial(model, number), CODE)).unwrap()
}

/// A print of a few simulated minutes.
pub fn plan(name: &str, source: Source) -> PrintPlan {
    PrintPlan {
        name: name.into(),
        source,
        calibration_seconds: 60.0,
        print_seconds: 600.0,
        ..PrintPlan::default()
    }
}

/// Gives an order that has to be taken.
pub fn order(printer: &Printer, command: Command) {
    printer.command(command).unwrap();
}

/// Starts a print and lets it come to its first layers.
pub fn begin(printer: &Printer, plan: PrintPlan) {
    order(printer, Command::StartPrint { plan });
    advance(printer, 200.0);
}

/// Lets simulated time pass.
pub fn advance(printer: &Printer, seconds: f64) {
    order(printer, Command::Advance { seconds });
}

/// Lets simulated time pass in pieces, as reports would show it.
pub fn advance_slowly(printer: &Printer, seconds: f64) {
    let mut left = seconds;
    while left > 0.0 {
        advance(printer, left.min(60.0));
        left -= 60.0;
    }
}

/// Changes the faults in force.
pub fn faults(printer: &Printer, change: impl FnOnce(&mut simulator::bambu::Faults)) {
    printer.change_faults(change).unwrap();
}
