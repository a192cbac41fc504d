//! Arguments, configuration, logging, `app::run`, exit code.

fn main() {}
