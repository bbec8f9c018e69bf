//! Owns the definitions of the subcommands beside `run`: one struct each.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueHint};

use crate::{
    cli::options::{CommonArgs, HostArgs, RoomArgs},
    core::{
        machine::way::Prefix,
        values::{NonZeroSpan, Span, SwapWish},
    },
};

/// `makeroom start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// How room is made.
    #[command(flatten)]
    pub room: RoomArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
    /// A name for the lease; one that is held already is a no-op
    #[arg(long)]
    pub name: Option<String>,
    /// Put everything back after this, sleep included
    #[arg(long, value_name = "DUR")]
    pub ttl: Option<NonZeroSpan>,
    /// Put everything back when this process ends
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub while_pid: Option<i32>,
}

/// `makeroom stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Leases or names; alone: the only one
    #[arg(value_name = "LEASE|NAME")]
    pub leases: Vec<String>,
    /// Every started lease
    #[arg(long, conflicts_with = "leases")]
    pub all: bool,
    /// How it is restored.
    #[command(flatten)]
    pub restore: RestoreArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `makeroom plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// How room is made.
    #[command(flatten)]
    pub room: RoomArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The command that is to be run, for what its last runs needed
    #[arg(
        trailing_var_arg = true,
        value_name = "COMMAND",
        value_hint = ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,
}

/// `makeroom doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How room is made.
    #[command(flatten)]
    pub room: RoomArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `makeroom report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run's lease [default: the last run]
    #[arg(value_name = "LEASE")]
    pub lease: Option<String>,
    /// As JSON
    #[arg(long, conflicts_with = "html")]
    pub json: bool,
    /// As a page with the timeline of the run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `makeroom status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Which engine, and the way to its host.
    #[command(flatten)]
    pub host: HostArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `makeroom swap`.
#[derive(Debug, Subcommand)]
pub enum SwapCommand {
    /// Make swap and activate it
    On {
        /// And at every boot, by one line in /etc/fstab
        #[arg(long)]
        persist: bool,
        /// How much is to be there [default: 2GiB]
        #[arg(long, value_name = "SIZE")]
        swap: Option<SwapWish>,
        /// Where things are.
        #[command(flatten)]
        args: SwapArgs,
    },
    /// Undo `swap on`
    Off {
        /// Where things are.
        #[command(flatten)]
        args: SwapArgs,
    },
    /// Show the swap that is active
    Status {
        /// Where things are.
        #[command(flatten)]
        args: SwapArgs,
    },
}

/// Where things are, for `makeroom swap`.
#[derive(Debug, Args)]
pub struct SwapArgs {
    /// Its file on the host [default: /var/lib/makeroom/swap]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub swap_file: Option<PathBuf>,
    /// Which engine, and the way to it.
    #[command(flatten)]
    pub host: HostArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `makeroom recover`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Give up a lease whose holder is dead, by its full id, and print what can be typed for each
    /// of its targets
    #[arg(long, value_name = "LEASE")]
    pub forget: Option<String>,
    /// How it is restored.
    #[command(flatten)]
    pub restore: RestoreArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// How `stop` and `recover` restore.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// For putting back [default: 30s]
    #[arg(long, value_name = "DUR")]
    pub restore_timeout: Option<Span>,
    /// Runs a command on the VM of a lease whose recorded way is not used
    #[arg(long, value_name = "COMMAND")]
    pub vm_shell: Option<Prefix>,
}

/// What they set of a room.
impl From<RestoreArgs> for RoomArgs {
    fn from(args: RestoreArgs) -> Self {
        let RestoreArgs { restore_timeout, vm_shell } = args;
        let host = HostArgs { vm_shell, ..HostArgs::default() };
        Self { host, restore_timeout, ..Self::default() }
    }
}
