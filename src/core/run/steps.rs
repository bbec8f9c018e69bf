//! Owns the steps of a run, as they are heard of: which were taken, which of them were undone, and
//! what their targets are. Pure.

use crate::core::run::{
    report::{StepReport, TargetReport},
    results::{RoomTarget, Step},
};

/// The steps of a run, as they are heard of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    steps: Vec<StepReport>,
    targets: Vec<TargetReport>,
}

impl Steps {
    /// One was taken.
    pub fn taken(&mut self, at_s: f64, step: &Step) {
        // What was undone and is taken again is one target.
        self.targets
            .retain(|known| !step.targets.iter().any(|target| target.id == known.target.id));
        self.targets.extend(step.targets.iter().map(TargetReport::of));
        self.steps.push(StepReport {
            at_s,
            selector: step.selector.clone(),
            cause: step.cause,
            pressure_percent: step.figures.pressure_percent,
            available_bytes: step.figures.available_bytes,
            targets: step.targets.iter().map(|target| target.id.clone()).collect(),
            given_back_bytes: step.given_back_bytes,
            undone_at_s: None,
        });
    }

    /// The last one that is still taken was undone; these targets were seen to run.
    pub fn undone(&mut self, at_s: f64, running: &[String]) {
        if let Some(step) = self.steps.iter_mut().rfind(|step| step.undone_at_s.is_none()) {
            step.undone_at_s = Some(at_s);
        }
        for known in &mut self.targets {
            known.restored |= running.contains(&known.target.id);
        }
    }

    /// Everything was given back, because the build is stopped.
    pub fn suspended(&mut self, at_s: f64) {
        for step in self.steps.iter_mut().filter(|step| step.undone_at_s.is_none()) {
            step.undone_at_s = Some(at_s);
        }
    }

    /// How many are taken now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.steps.iter().filter(|step| step.undone_at_s.is_none()).count()
    }

    /// The target with this id, where it is one of a step.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<&RoomTarget> {
        self.targets.iter().map(|known| &known.target).find(|target| target.id == id)
    }

    /// The targets of all of them, each once.
    #[must_use]
    pub fn targets(&self) -> &[TargetReport] {
        &self.targets
    }

    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> &[StepReport] {
        &self.steps
    }
}
