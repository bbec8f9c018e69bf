//! Owns the machine whose memory counts: its memory figures, its swap and its cgroups. Each step
//! is one small `sh` script, so that the same step runs here and in a VM.
//! Runs in the keeper and in short commands.

pub mod container;
pub mod findings;
pub mod held_mark;
pub mod kernel;
pub mod limits;
pub mod offspring;
pub mod permanent_swap;
pub mod process;
pub mod reclaim;
pub mod sample;
pub mod shell;
pub mod swap;
pub mod tunnel;
pub mod warm;
pub mod within;
