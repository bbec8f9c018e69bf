//! The operations on a lease, as free functions over one [`context::Context`]: `make` and `release`
//! own the order, each other file one thing. They run in the keeper, and in the short commands for
//! leases whose holder is dead. Which kind a target is of is known in `targets` alone.

pub mod after;
pub mod announce;
mod areas;
mod bring_back;
pub mod cancel;
mod claim;
pub mod context;
pub mod enforcers;
pub mod hooks;
pub mod late_calls;
pub mod leases;
pub mod linger;
mod look;
pub mod machine;
pub mod make;
pub mod mark;
mod need;
pub mod post_mortem;
mod push_out;
pub mod recover;
pub mod recovered;
pub mod release;
mod restore;
pub mod retry;
mod shared;
pub mod step;
mod swap;
mod take;
#[cfg(test)]
mod tests;
mod vanished;
pub mod without_keeper;
pub mod worth;
