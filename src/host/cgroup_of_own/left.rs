//! Owns looking whether the cgroups that a process would leave have a limit.

use std::{fs, path::Path};

use crate::core::machine::own_cgroup::{self, Stays};

/// Refuses to leave cgroups of which one has a limit.
pub(super) fn may_be_left(dirs: &[String], usual_tasks: Option<u64>) -> Result<(), Stays> {
    for dir in dirs {
        let files = fs::read_dir(dir).into_iter().flatten();
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        for file in names.filter(|name| own_cgroup::may_limit(name)) {
            // A file that may be limits and cannot be read is one.
            let text = fs::read_to_string(Path::new(dir).join(&file)).unwrap_or("?".to_owned());
            if own_cgroup::is_limit(&file, &text, usual_tasks) {
                let cgroup = dir.rsplit('/').next().unwrap_or_default().to_owned();
                return Err(Stays::Limited { cgroup, limit: file });
            }
        }
    }
    Ok(())
}
