//! What a lease has, keeps on disk and gives back, as plain data. Pure.

pub mod admission;
pub mod claim;
pub mod foreign_change;
pub mod late_call;
pub mod lines;
pub mod record;
pub mod state;
