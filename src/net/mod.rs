//! The network's protocols, without a word of any domain: TLS with pinned keys, MQTT links, FTPS sessions, HTTP
//! with digests, names to addresses, packets of DNS.
//!
//! A peer here is an address with a key. What it makes, who owns it and what its messages mean is told elsewhere.
//! Everything that waits has a deadline, everything that queues has a named bound.

pub mod dns;
pub mod ftps;
pub mod http;
pub mod mqtt;
pub mod resolve;
pub mod tls;
