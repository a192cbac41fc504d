//! Paths and queries, and the place of a fault in JSON.

#[path = "../../../src/web/server/shape.rs"]
mod shape;
#[path = "../../../src/web/server/target.rs"]
pub mod target;

/// The name of the field at a place in `body`.
pub fn field_at(body: &[u8], line: usize, column: usize, message: &str) -> String {
    shape::field_at(body, line, column, message)
}
