//! The head of a request: who may be meant and who may ask.

#[path = "../../../src/web/front/guard.rs"]
pub mod guard;
#[path = "../../../src/web/front/head.rs"]
pub mod head;
