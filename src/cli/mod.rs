//! The subcommands of the program that need no service.

pub mod inspect;
