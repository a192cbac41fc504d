//! The board: everything that depends on the machine the service runs on.
