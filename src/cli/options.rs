//! Owns the options: how each is typed, in the groups that the subcommands take. A new one is
//! defined here, has its row in `config::layer`, and its field in `config::settings`.

use std::path::PathBuf;

use clap::{
    ArgAction, Args, ValueHint,
    builder::{BoolValueParser, MapValueParser, TypedValueParser as _, ValueParserFactory},
};

use crate::core::{
    machine::way::Prefix,
    target::selector::{FORMS, Selector},
    values::{ColorWish, MethodWish, NeedWish, NonZeroSpan, Percent, Size, Span, SwapWish},
};

/// An option without a value. Typed, it says yes; a file or a variable can say no as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch(pub Option<bool>);

impl Switch {
    /// What is typed of it.
    fn typed(is_there: bool) -> Self {
        Self(is_there.then_some(true))
    }
}

impl ValueParserFactory for Switch {
    type Parser = MapValueParser<BoolValueParser, fn(bool) -> Self>;

    fn value_parser() -> Self::Parser {
        BoolValueParser::new().map(Self::typed)
    }
}

/// How room is made.
#[derive(Clone, Debug, Default, Args)]
pub struct RoomArgs {
    #[arg(help = format!("Containers to make room with: name, glob, {FORMS}"), long, value_name = "SELECTOR")]
    pub pause: Option<Vec<Selector>>,
    /// Containers never to touch; wins over --pause
    #[arg(long, value_name = "SELECTOR")]
    pub keep: Vec<Selector>,
    /// auto, pause or stop; auto: stop where swap cannot hold them
    #[arg(long, value_name = "METHOD")]
    pub method: Option<MethodWish>,
    /// Leave what is paused in memory
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_reclaim: Switch,
    /// Room for only this much; auto: as the last runs took [default: all]
    #[arg(long, value_name = "SIZE|auto")]
    pub need: Option<NeedWish>,
    /// Swap to have active and free: a size, or off [default: 2GiB]
    #[arg(long, value_name = "SIZE|off", allow_hyphen_values = true)]
    pub swap: Option<SwapWish>,
    /// Its file [default: /var/lib/makeroom/swapfile; Colima: on its disk]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub swap_file: Option<PathBuf>,
    /// Which engine, and the way to it.
    #[command(flatten)]
    pub host: HostArgs,
    /// Before the engine kills a stopping container [default: its own]
    #[arg(long, value_name = "DUR", hide = true)]
    pub stop_timeout: Option<Span>,
    /// For putting back [default: 30s]
    #[arg(long, value_name = "DUR")]
    pub restore_timeout: Option<Span>,
    /// Afterwards, wait so long until what was healthy answers again
    #[arg(long, value_name = "DUR")]
    pub wait_healthy: Option<Span>,
    /// Afterwards, read back for so long what services have in swap
    #[arg(long, value_name = "DUR", hide = true)]
    pub warm: Option<Span>,
    /// Take again, up to three times, what somebody else unpaused or started meanwhile
    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    pub insist: Switch,
    /// Room that cannot be made is an error (125)
    #[arg(long, action = ArgAction::SetTrue)]
    pub strict: Switch,
    /// Commands of one's own that are told what happens.
    #[command(flatten)]
    pub hooks: HookArgs,
}

/// Commands that are told what happens to the room. Not on the screen of `--help`: see
/// `Cli::whole`.
#[derive(Clone, Debug, Default, Args)]
pub struct HookArgs {
    /// Run by `sh -c` beside the build's start, with the facts in MAKEROOM_EVENT, MAKEROOM_SERVICES
    /// and their like
    #[arg(long, value_name = "COMMAND", hide = true, value_hint = ValueHint::CommandString)]
    pub on_room_made: Option<String>,
    /// The same when everything is back
    #[arg(long, value_name = "COMMAND", hide = true, value_hint = ValueHint::CommandString)]
    pub on_restored: Option<String>,
}

/// Which engine, and the way to the machine that it runs on.
#[derive(Clone, Debug, Default, Args)]
pub struct HostArgs {
    /// unix:///PATH, tcp://HOST:PORT or ssh://DEST [default: as docker does]
    #[arg(long, value_name = "URL", conflicts_with = "context")]
    pub engine: Option<String>,
    /// The docker context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Runs a command on the engine's VM: "colima ssh --" [default: found]
    #[arg(long, value_name = "COMMAND")]
    pub vm_shell: Option<Prefix>,
}

/// How the child is run.
#[derive(Clone, Debug, Default, Args)]
pub struct ChildArgs {
    /// What is done when memory gets short meanwhile.
    #[command(flatten)]
    pub guard: GuardArgs,
    /// End the build after this (124)
    #[arg(long, value_name = "DUR")]
    pub timeout: Option<NonZeroSpan>,
    /// From the signal to SIGKILL [default: 10s]
    #[arg(long, value_name = "DUR")]
    pub grace: Option<Span>,
    /// Wait this long for builds beside which this one does not fit
    #[arg(long, value_name = "DUR")]
    pub wait: Option<Span>,
    /// Keep the room this long after the build, for the next one
    #[arg(long, value_name = "DUR")]
    pub linger: Option<Span>,
    /// Write the run's report as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Keep the arguments in the report, too; they may hold secrets
    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    pub record_arguments: Switch,
}

/// What is done when memory gets short while the build runs.
#[derive(Clone, Debug, Default, Args)]
pub struct GuardArgs {
    /// Containers to pause only once memory is short: a step each
    #[arg(long, value_name = "SELECTOR")]
    pub then: Option<Vec<Selector>>,
    /// Short: all stalls for so much of the time [default: 10%]
    #[arg(long, value_name = "PERCENT", hide = true)]
    pub pressure: Option<Percent>,
    /// Short: less is available, or soon will be [default: 192MiB or 3%]
    #[arg(long, value_name = "SIZE")]
    pub floor: Option<Size>,
    /// End the build (124) after so long under pressure, no step left
    #[arg(long, value_name = "DUR")]
    pub abort_on_thrash: Option<NonZeroSpan>,
    /// Run by `sh -c` when a step was taken, with the facts in MAKEROOM_EVENT, MAKEROOM_SERVICES
    /// and their like
    #[arg(long, value_name = "COMMAND", hide = true, value_hint = ValueHint::CommandString)]
    pub on_pressure: Option<String>,
}

/// Where things are, and how much is said.
#[derive(Clone, Debug, Default, Args)]
pub struct CommonArgs {
    /// Use this file instead of each makeroom.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Where leases are recorded
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// A directory whose makeroom.toml counts though it is somebody else's
    #[arg(long, value_name = "DIR", hide = true, value_hint = ValueHint::DirPath)]
    pub safe_directory: Vec<PathBuf>,
    /// Only warnings and errors
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub quiet: Switch,
    /// Details
    #[arg(short, long, conflicts_with = "quiet", action = ArgAction::SetTrue)]
    pub verbose: Switch,
    /// auto, always or never
    #[arg(long, value_name = "WHEN")]
    pub color: Option<ColorWish>,
}
