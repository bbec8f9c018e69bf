//! The sums before a build: what it needs, and what each target would give. Pure.

pub mod audit;
pub mod estimate;
pub mod gain;
