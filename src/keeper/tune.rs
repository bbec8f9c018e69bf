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
    /// Announces what is to be changed, and takes part in what another live lease changed. Nothing where
    /// that cannot be recorded: a build without it is only slower.
    pub(super) fn tune(&self, journal: &mut Journal, leases: &Leases, measured: &Measured) -> Vec<Setting> {
        let host = self.reach.host();
        let others = || leases.on_host(host.as_ref()).flat_map(|(_, state)| state.settings.values());
        // As it was before the first of them changed it.
        let shared: Vec<Setting> = others().filter(|setting| !journal.state().settings.contains_key(&setting.name)).cloned().collect();
        for setting in shared {
            // Not recorded, it is the other lease's alone.
            if let Err(error) = journal.announce(&Record::SettingChanging { setting }) {
                self.note(Note::new(Level::Detail, error.to_string()));
            }
        }
        let mut changes = tuning::changes(&measured.settings);
        changes.retain(|setting| !journal.state().settings.contains_key(&setting.name));
        let intents: Vec<_> = changes.iter().map(|setting| Record::SettingChanging { setting: setting.clone() }).collect();
        if intents.is_empty() || journal.intend(&intents).is_ok() { changes } else { Vec::new() }
    }
}
