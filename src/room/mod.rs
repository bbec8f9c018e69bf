//! The operations on a lease: making room and giving it back. Run in the keeper, and in the short
//! commands for leases whose holder is dead.

pub mod after;
pub mod alone;
pub mod bring_back;
pub mod calls;
pub mod cancel;
pub mod hooks;
pub mod late_calls;
pub mod linger;
pub mod machine;
pub mod make;
pub mod mark;
pub mod need;
pub mod post_mortem;
pub mod recover;
pub mod restore;
pub mod services;
pub mod step;
pub mod swap;
pub mod take;

/// How a keeper's or a command's code says what happens.
pub type Tell<'a> = &'a dyn Fn(crate::core::run::wire::FromKeeper);
