//! Owns the machine whose memory counts: its memory figures, its swap and its cgroups. Everything
//! that is done there is a small `sh` script, so that the same script runs here and in a VM
//! (docs/decisions/0002). Runs in the keeper and in short commands.

pub mod cgroup_of_own;
pub mod container;
pub mod findings;
pub mod held_mark;
pub mod kernel;
pub mod limits;
pub mod offspring;
pub mod permanent_swap;
pub mod process;
pub mod program;
pub mod reclaim;
pub mod sample;
pub mod shell;
pub mod swap;
pub mod tunnel;
pub mod vm_files;
pub mod warm;
pub mod within;
