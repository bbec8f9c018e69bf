//! Owns where a process of makeroom's may have a cgroup of its own, by what is seen of the machine:
//! never out of the slice that it is in, nor out from under a limit. Pure; `host::cgroup_of_own`
//! looks and acts. For the keeper today; whatever else gets one goes by the same rules.

use thiserror::Error;

use crate::core::machine::memory::unescape;

/// What the names of all of ours begin with.
pub const PREFIX: &str = "makeroom-";

/// What is seen of the machine and of the process that is to have one.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `/proc/self/cgroup`.
    pub cgroups: String,
    /// `/proc/self/mountinfo`.
    pub mounts: String,
    /// `/proc/1/cgroup`: another container's systemd knows our pids by other numbers.
    pub first_process: String,
    /// `/run/systemd/system` is there (sd_booted(3)).
    pub is_systemd_booted: bool,
    /// The effective user.
    pub user: u32,
    /// This user's own service manager runs and has a bus.
    pub has_user_manager: bool,
    /// It goes on when the user has logged out (loginctl(1), `enable-linger`).
    pub lingers: bool,
}

/// Which service manager makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The machine's.
    System,
    /// This user's.
    User,
}

/// A cgroup that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How it is made.
    pub way: Way,
    /// The directories of the cgroups that are left by that. One with a limit is not left.
    pub left: Vec<String>,
}

/// How a cgroup is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a transient scope.
    Scope {
        /// By this manager.
        manager: Manager,
        /// In this slice; `None` means where the manager puts what is said nothing of.
        slice: Option<String>,
        /// The machine's manager knows the cgroup that is left as this unit's.
        unit: String,
    },
    /// As a directory.
    Sibling {
        /// The mount that it is in.
        mount: String,
        /// The cgroup that it is made in, as names below the mount.
        parent: Vec<String>,
        /// The name of the one that is left, in the same.
        left: String,
    },
}

/// Why a process stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stays {
    /// There are none.
    #[error("there are no cgroups")]
    NoCgroups,
    /// A whole cgroup is killed by nobody there: neither systemd-oomd nor `memory.oom.group`.
    #[error("memory is counted by cgroup v1 here")]
    Version1,
    /// It is nobody's who could be asked.
    #[error("the cgroup {0} is no unit's")]
    NoUnit(String),
    /// Nothing kills all that is in there.
    #[error("the build is in the root cgroup")]
    Root,
    /// Its manager ends with the login, and would take the process along.
    #[error("only root, or a user whose service manager outlives a logout, can have a cgroup here")]
    NoManager,
    /// No bus leads to the manager.
    #[error("the user's service manager has no bus")]
    NoBus,
    /// Only root may make one.
    #[error("only root can make a cgroup here")]
    NotRoot,
    /// The cgroups are mounted nowhere, or in part.
    #[error("the cgroup {0} is not mounted here")]
    NotMounted(String),
    /// It would not count against the limit any more.
    #[error("{cgroup} has a limit ({limit})")]
    Limited {
        /// Which cgroup or unit.
        cgroup: String,
        /// The file or the property.
        limit: String,
    },
}

/// Finds the place that a process has by these facts.
///
/// # Errors
/// [`Stays`].
pub fn place(seen: &Surroundings) -> Result<Place, Stays> {
    let own = unified(&seen.cgroups)?;
    let names = names(own).ok_or_else(|| Stays::NotMounted(own.to_owned()))?;
    if seen.is_systemd_booted {
        return in_scope(seen, own, &names);
    }
    let (left, parent) = names.split_last().ok_or(Stays::Root)?;
    if seen.user != 0 {
        return Err(Stays::NotRoot);
    }
    let (mount, root) = mount_of(seen, own)?;
    let parent = parent.get(root..).ok_or_else(|| Stays::NotMounted(own.to_owned()))?;
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let way = Way::Sibling { mount, parent: owned(parent), left: (*left).to_owned() };
    Ok(Place { way, left: left_by(seen, own, &names, names.len() - 1)? })
}

fn in_scope(seen: &Surroundings, own: &str, names: &[&str]) -> Result<Place, Stays> {
    let no_unit = || Stays::NoUnit(own.to_owned());
    if unified(&seen.first_process)? != "/init.scope" {
        return Err(no_unit());
    }
    let slices = slices(names);
    let unit = names.get(slices).filter(|name| is_unit(name)).copied().ok_or_else(no_unit)?;
    let scope = |manager, slice: Option<&str>, above: usize| {
        let (slice, unit) = (slice.map(str::to_owned), unit.to_owned());
        let left = left_by(seen, own, names, above)?;
        Ok(Place { way: Way::Scope { manager, slice, unit }, left })
    };
    if seen.user == 0 {
        return scope(Manager::System, Some(last_slice(&names[..slices])), slices);
    }
    let is_below_manager = unit == format!("user@{}.service", seen.user);
    let below = names.get(slices + 1..).filter(|_| is_below_manager).unwrap_or_default();
    let own_slice = format!("user-{}.slice", seen.user);
    match (is_below_manager, seen.has_user_manager) {
        (true, false) => Err(Stays::NoBus),
        (true, true) => {
            let inner = self::slices(below);
            let above = slices + 1 + inner;
            if names.get(above).is_none() {
                return Err(no_unit());
            }
            scope(Manager::User, Some(last_slice(&below[..inner])), above)
        }
        // The slice that both are in holds on.
        (false, true) if seen.lingers && last_slice(&names[..slices]) == own_slice => {
            scope(Manager::User, None, slices)
        }
        (false, _) => Err(Stays::NoManager),
    }
}

/// The path in the one tree of cgroup v2.
fn unified(cgroups: &str) -> Result<&str, Stays> {
    let lines = cgroups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let mut own = Err(Stays::NoCgroups);
    for (_, controllers, path) in lines {
        if controllers.split(',').any(|name| name == "memory") {
            return Err(Stays::Version1);
        }
        if controllers.is_empty() {
            own = Ok(path);
        }
    }
    own
}

/// The names on the way to a cgroup; `None` where it is outside of what is seen of the tree.
fn names(path: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.iter().all(|name| !matches!(*name, "." | "..")).then_some(names)
}

/// How many names are those of slices, each in the one that its own name tells (systemd.slice(5)).
fn slices(names: &[&str]) -> usize {
    let mut parent = String::new();
    let is_next = |name: &&&str| {
        let Some(stem) = name.strip_suffix(".slice").filter(|_| is_name(name)) else {
            return false;
        };
        let is_in_parent = stem.rsplit_once('-').map_or("", |(parent, _)| parent) == parent;
        stem.clone_into(&mut parent);
        is_in_parent
    };
    names.iter().take_while(is_next).count()
}

fn last_slice<'a>(slices: &[&'a str]) -> &'a str {
    slices.last().copied().unwrap_or("-.slice")
}

fn is_unit(name: &str) -> bool {
    is_name(name) && [".service", ".scope"].iter().any(|end| name.ends_with(end))
}

/// Whether these are the letters of a unit's name (systemd.unit(5)).
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte))
}

/// The directories of the cgroups that this one is in, itself included, down to so many names.
fn left_by(
    seen: &Surroundings,
    own: &str,
    names: &[&str],
    above: usize,
) -> Result<Vec<String>, Stays> {
    let (mount, root) = mount_of(seen, own)?;
    let dir = |length: usize| {
        let below = names.get(root..length)?;
        Some([&[mount.as_str()], below].concat().join("/"))
    };
    let dirs: Option<Vec<String>> = (above + 1..=names.len()).rev().map(dir).collect();
    dirs.ok_or_else(|| Stays::NotMounted(own.to_owned()))
}

/// Where the tree is mounted that this cgroup is in, and how many of its names lead to the mount's
/// own root.
fn mount_of(seen: &Surroundings, own: &str) -> Result<(String, usize), Stays> {
    let read = |line: &str| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3).map(unescape);
        let (root, point) = (fields.next()?, fields.next()?);
        let root = root.trim_end_matches('/');
        let is_above =
            own.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (source.starts_with("cgroup2 ") && is_above)
            .then(|| (point, root.split('/').skip(1).count()))
    };
    let found = seen.mounts.lines().find_map(read);
    found.ok_or_else(|| Stays::NotMounted(own.to_owned()))
}

/// Whether a file of a cgroup can hold a limit, by its name.
#[must_use]
pub fn may_limit(file: &str) -> bool {
    let is_weight = file.starts_with("cgroup.");
    let ends = [".max", ".high"].iter().any(|end| file.ends_with(end));
    ends && !is_weight || matches!(file, "cpuset.cpus" | "cpuset.mems")
}

/// Whether it does, by what is in it. The tasks that every unit is allowed are no limit of this
/// one.
#[must_use]
pub fn is_limit(file: &str, text: &str, usual_tasks: Option<u64>) -> bool {
    if file == "pids.max" && usual_tasks.is_some() && text.trim().parse().ok() == usual_tasks {
        return false;
    }
    let is_unlimited = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let mut keyed = words.clone().filter_map(|word| word.split_once('=')).peekable();
        if keyed.peek().is_some() {
            keyed.all(|(_, value)| value == "max")
        } else {
            words.any(|word| word == "max")
        }
    };
    !text.lines().filter(|line| !line.trim().is_empty()).all(is_unlimited)
}

/// What else can hold a unit back, and is told by no file of its cgroup.
pub const RESTRICTIONS: &str = "IPAddressAllow,IPAddressDeny,IPIngressFilterPath,\
    IPEgressFilterPath,SocketBindAllow,SocketBindDeny,RestrictNetworkInterfaces,BPFProgram,\
    DevicePolicy,DeviceAllow";

/// Names the first of them that does, by what `systemctl show` prints.
#[must_use]
pub fn restriction(shown: &str) -> Option<String> {
    let set = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let is_asked_for = RESTRICTIONS.split(',').any(|restriction| restriction == name);
        (is_asked_for && !matches!(value, "" | "auto" | "~")).then(|| name.to_owned())
    };
    shown.lines().find_map(set)
}

/// Reads how many tasks every unit is allowed: `systemctl show --property DefaultTasksMax`.
#[must_use]
pub fn usual_tasks(shown: &str) -> Option<u64> {
    shown.lines().find_map(|line| line.strip_prefix("DefaultTasksMax=")?.parse().ok())
}

#[cfg(test)]
mod tests;
