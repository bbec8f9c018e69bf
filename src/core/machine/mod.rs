//! The machine whose memory counts: how it is reached, and what its kernel says. Pure.

pub mod address;
pub mod cgroup;
pub mod doctor;
pub mod inside;
pub mod memory;
pub mod own_cgroup;
pub mod pressure;
pub mod process;
pub mod route;
pub mod sample;
pub mod swap;
pub mod vm;
pub mod way;
