//! The network guard and the delivery engine, over real loopback sockets.

mod forbidden_addresses;
mod guard_oracle;
mod guard_vectors;
mod hostile_receivers;
mod keep_alive;
mod requests;
mod retry_after_vectors;
mod support;
mod tls;
