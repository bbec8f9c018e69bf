//! What a person, a machine or somebody else got wrong: said in a line with the way out. What was
//! typed wrongly ends with 125; what the machine lacks is a warning, and the build runs.

mod lacking;
mod typed;

use std::path::PathBuf;

use crate::support::site::Site;

fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}
