//! The decisions of makeroom as pure functions over plain data: no I/O, no clock, no process.
//! Nothing here imports anything of ours from outside `core`, so all of it is tested as tables.

pub mod address;
pub mod audit;
pub mod build_site;
pub mod cgroup;
pub mod claim;
pub mod exit;
pub mod guard;
pub mod hand;
pub mod health;
pub mod history;
pub mod hook;
pub mod killed;
pub mod log_driver;
pub mod memory;
pub mod order;
pub mod plan;
pub mod probe;
pub mod process;
pub mod record;
pub mod report;
pub mod route;
pub mod sample;
pub mod selector;
pub mod session;
pub mod swap;
pub mod swarm;
pub mod target;
pub mod text;
pub mod timeline;
pub mod turn;
pub mod unsaid;
pub mod values;
pub mod verdict;
pub mod wire;
