//! Owns a host that is no machine, for tests of what is done on one: each script is answered by the
//! test.

use std::rc::Rc;

use crate::host::shell::error::ShellError;

/// What a script is answered.
type Answer = Result<String, ShellError>;

/// What answers scripts.
#[derive(Clone)]
pub(crate) struct FakeHost(Rc<dyn Fn(&str) -> Answer>);

impl std::fmt::Debug for FakeHost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FakeHost").finish_non_exhaustive()
    }
}

impl FakeHost {
    pub(crate) fn new(answer: impl Fn(&str) -> Answer + 'static) -> Self {
        Self(Rc::new(answer))
    }

    pub(crate) fn answer(&self, script: &str) -> Answer {
        (self.0)(script)
    }
}
