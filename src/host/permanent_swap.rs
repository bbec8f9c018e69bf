//! Owns swap that stays after a run: an area with a label of its own, and its line in the host's
//! fstab(5). Runs in `makeroom swap`.

use std::time::Duration;

use crate::{
    core::{
        lease::record::Area,
        machine::{
            cgroup::{self, Measured},
            memory::escape,
            swap::OWN_DIR,
        },
    },
    host::{
        reclaim::MEASURE,
        shell::{Shell, variable},
        swap::{MadeArea, PLACE, Removal, SwapError, answer, head, make, remove},
    },
};

const FSTAB: &str = include_str!("scripts/fstab.sh");
/// The label that tells it from a run's areas and from anybody else's; mkswap(8) takes fifteen
/// bytes.
pub const LABEL: &str = "makeroom-kept";
/// systemd regenerates its units for a changed fstab, which takes a moment.
const FSTAB_LIMIT: Duration = Duration::from_mins(1);
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// Where it lies unless the user says otherwise. Not on a data disk: those are mounted after
/// fstab's swap has been activated.
#[must_use]
pub fn default_path() -> String {
    format!("{OWN_DIR}/swap")
}

/// What a look at the host found.
#[derive(Debug)]
pub struct Found {
    /// The host's memory and active swap.
    pub measured: Measured,
    /// Whether fstab has the line for this path.
    pub is_persistent: bool,
}

/// Looks at the host, and at its fstab's line for this path.
///
/// # Errors
/// [`SwapError::Shell`].
pub async fn look(shell: &Shell, path: &str) -> Result<Found, SwapError> {
    let test = "memory\necho '==> fstab <=='\nif grep -qxF -e \"$line\" /etc/fstab 2> /dev/null; then echo kept; fi\n";
    let output = shell
        .run(&[shell.who(), &variable("line", &line(path)), MEASURE, test].concat(), LOOK_LIMIT)
        .await?;
    shell.learn(&output);
    Ok(Found {
        measured: cgroup::read(&output),
        is_persistent: output.lines().last() == Some("kept"),
    })
}

/// Makes and activates the area. One of ours that is not active, as after a boot, is made anew.
///
/// # Errors
/// [`SwapError`] if nothing was made.
pub async fn turn_on(
    shell: &Shell,
    path: &str,
    size_bytes: u64,
    priority: Option<i32>,
) -> Result<MadeArea, SwapError> {
    let area = area(path, size_bytes);
    remove(shell, &area).await?;
    make(shell, &area, OWN_DIR, priority).await
}

/// Deactivates and deletes the area.
///
/// # Errors
/// [`SwapError`] if it stays.
pub async fn turn_off(shell: &Shell, path: &str, size_bytes: u64) -> Result<Removal, SwapError> {
    remove(shell, &area(path, size_bytes)).await
}

/// Adds the line to fstab or removes it; tells whether that changed anything.
///
/// # Errors
/// [`SwapError`] if fstab is unchanged.
pub async fn persist(shell: &Shell, path: &str, is_wanted: bool) -> Result<bool, SwapError> {
    let undo = variable("undo", if is_wanted { "" } else { "yes" });
    let head = [variable("line", &line(path)), head(&area(path, 0)), undo].concat();
    let output = shell.run_as_root(&[&head, PLACE, FSTAB].concat(), None, FSTAB_LIMIT).await?;
    Ok(answer(&output)? == "ok")
}

fn area(path: &str, size_bytes: u64) -> Area {
    Area { path: path.to_owned(), size_bytes, label: LABEL.to_owned() }
}

/// Options that begin with `x-` are free for anybody's use (mount(8)); with `nofail` a boot does
/// not wait for it.
fn line(path: &str) -> String {
    format!("{} none swap sw,nofail,x-makeroom 0 0", escape(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_of_fstab_whatever_the_path_holds() {
        assert_eq!(line("/a b\t\\"), r"/a\040b\011\134 none swap sw,nofail,x-makeroom 0 0");
    }
}
