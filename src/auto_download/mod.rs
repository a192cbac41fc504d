//! A print starts, and its file is fetched by itself.
//!
//! `policy` decides, purely; `task` follows the durable events about jobs, asks the policy, and writes the request together
//! with `auto_download_triggered` in one transaction. How the file is found and fetched is `downloads`' business, and so are
//! the events about its failure.

mod policy;
mod task;

pub use policy::{PRINTABLE, decide};
pub use task::{Deps, run};
