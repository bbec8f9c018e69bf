//! The decisions of makeroom as pure functions over plain data: no I/O, no clock, no process.
//! Nothing here imports anything of ours from outside `core`, so all of it is tested as tables.
//! Each folder imports only the ones before it in this list.

pub mod few;
pub mod text;
pub mod values;
pub mod variables;

pub mod machine;
pub mod target;

pub mod lease;

pub mod plan;

pub mod run;
