//! `makeroom man`: the page of the command and of each subcommand, from the definitions in `cli`.

use std::io;

use crate::cli::Cli;

/// Prints the man page to stdout.
///
/// # Errors
/// Where stdout cannot be written to.
pub fn print() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let command = Cli::whole();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut out)?;
    for subcommand in command.get_subcommands() {
        let name = format!("makeroom-{}", subcommand.get_name());
        let page = clap_mangen::Man::new(subcommand.clone().name(name));
        page.render_name_section(&mut out)?;
        page.render_synopsis_section(&mut out)?;
        page.render_options_section(&mut out)?;
    }
    Ok(())
}
