//! Owns choosing the settings of the host's kernel that are changed while a build runs: each in the
//! journal before it is. The step that pushes memory out changes them. Runs in the keeper.

use super::acquire::Acquirer;
use crate::{
    core::{
        cgroup::Measured,
        record::{Record, Setting},
        tuning,
        wire::{Level, Note},
    },
    lease::{journal::Journal, leases::Leases},
};

impl Acquirer<'_> {
    /// Takes part in what other live leases changed: beside memory that they pushed out it is wanted as much.
    pub(super) fn share_settings(&self, journal: &mut Journal, leases: &Leases) {
        let host = self.reach.host();
        let others = leases.on_host(host.as_ref()).flat_map(|(_, state)| state.settings.values());
        // As it was before the first of them changed it.
        let shared: Vec<Setting> = others.filter(|setting| !journal.state().settings.contains_key(&setting.name)).cloned().collect();
        for setting in shared {
            // Not recorded, it is the other lease's alone.
            if let Err(error) = journal.announce(&Record::SettingChanging { setting }) {
                self.note(Note::new(Level::Detail, error.to_string()));
            }
        }
    }
}

/// Announces what is to be changed. Nothing where that cannot be recorded: a build without it is only slower.
pub(super) fn tune(journal: &mut Journal, measured: &Measured) -> Vec<Setting> {
    let mut changes = tuning::changes(&measured.settings);
    changes.retain(|setting| !journal.state().settings.contains_key(&setting.name));
    let intents: Vec<_> = changes.iter().map(|setting| Record::SettingChanging { setting: setting.clone() }).collect();
    if intents.is_empty() || journal.intend(&intents).is_ok() { changes } else { Vec::new() }
}
