//! The network guard and the delivery engine, over real loopback sockets.
//!
//! `cfg(test)` on the modules is for the lints, which then know that all of this is tests.

#[cfg(test)]
mod forbidden_addresses;
#[cfg(test)]
mod guard_neighbours;
#[cfg(test)]
mod guard_oracle;
#[cfg(test)]
mod guard_spellings;
#[cfg(test)]
mod guard_vectors;
#[cfg(test)]
mod hostile_crowd;
#[cfg(test)]
mod hostile_receivers;
#[cfg(test)]
mod keep_alive;
#[cfg(test)]
mod odd_responses;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod request_targets;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod resolver;
#[cfg(test)]
mod retry_after_vectors;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
