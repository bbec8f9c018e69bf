//! Owns what an audit is made of. Pure.

use crate::core::{
    machine::{cgroup::Measured, swap::Disk, vm::VmDriver},
    plan::estimate::Need,
    target::{
        command_use::CommandUse,
        seen::{Listed, Seen},
        selector::Selector,
    },
    values::{MethodWish, SwapWish},
};

/// What an audit is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What a person calls the host; `None` is this machine.
    pub host: Option<&'a str>,
    /// What runs it, where that is a virtual machine on this one and its maker's files tell.
    pub vm_driver: Option<VmDriver>,
    /// The host, with the cgroup of each container that has processes.
    pub measured: &'a Measured,
    /// All containers, with their inspection where they have processes.
    pub containers: &'a [(Listed, Option<Seen>)],
    /// `--pause`.
    pub pause: &'a [Selector],
    /// `--keep`.
    pub keep: &'a [Selector],
    /// What the command itself works with.
    pub uses: &'a CommandUse,
    /// The container that makeroom itself runs in.
    pub own_container: Option<&'a str>,
    /// The ids of the targets that would be stopped in the place of their parts.
    pub stopped_as_wholes: &'a [String],
    /// `--method`.
    pub method: MethodWish,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
    /// `--swap`.
    pub swap: SwapWish,
    /// The path of the area that a run would make, and its disk, where that was looked at.
    pub swap_place: Option<(&'a str, Disk)>,
    /// Whether there is a way to be root on the host: swap and reclaim need it.
    pub has_root: bool,
    /// Whether the containers' own figures are the engine's, because their cgroups are not seen.
    pub is_unseen: bool,
    /// What the build is expected to need, where anything is known.
    pub need: Option<Need>,
}
