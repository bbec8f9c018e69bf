//! Owns what is on disk: the state directory, its lock, and the journals. Nothing else writes
//! there. Used by the supervisor (which creates and locks a journal), the keeper (which writes it)
//! and the short commands.

pub mod control_socket;
pub mod dir;
pub mod enforcers;
pub mod history;
pub mod journal;
pub mod journal_error;
pub mod leases;
pub mod reports;
pub mod state_dir;
pub mod trust;
