//! The sums before a build: what it needs, and what each target would give. Pure.

pub mod audit;
pub mod estimate;
pub mod facts;
pub mod format;
pub mod gain;
mod methods;
mod warnings;
