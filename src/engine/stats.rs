//! Owns the engine's word for how much memory a container holds: asked only where its cgroup cannot
//! be read. Runs in the keeper and in short commands.

use std::time::Duration;

use serde_json::Value;

use crate::{
    core::machine::cgroup::Cgroup,
    engine::{
        client::{Engine, EngineError, bounded},
        raw,
    },
};

/// An engine before 20.10 knows no single look, and takes two of them, a second apart.
const LIMIT: Duration = Duration::from_secs(5);

/// What a container holds; `None` where the engine does not know.
///
/// # Errors
/// [`EngineError`].
pub async fn memory(engine: &Engine, id: &str) -> Result<Option<Cgroup>, EngineError> {
    let path = format!("/containers/{}/stats?stream=0&one-shot=1", raw::quoted(id));
    Ok(read(&bounded(LIMIT, raw::get(&engine.docker, path)).await?))
}

/// What its cgroup says, under the names of cgroup v1 or v2. An engine that has no cgroup for it (20.10
/// without root) tells the whole machine's figures, in which no process is counted.
fn read(answer: &[u8]) -> Option<Cgroup> {
    let whole: Value = serde_json::from_slice(answer).ok()?;
    whole["pids_stats"]["current"].as_u64().filter(|processes| *processes > 0)?;
    let memory = &whole["memory_stats"];
    let stat = |name: &str| {
        let total = memory["stats"][format!("total_{name}")].as_u64();
        total.or_else(|| memory["stats"][name].as_u64()).unwrap_or(0)
    };
    Some(Cgroup {
        used_bytes: memory["usage"].as_u64().filter(|bytes| *bytes > 0)?,
        unevictable_bytes: stat("unevictable"),
        cache_bytes: stat("inactive_file").saturating_add(stat("active_file")),
        swap_limit_bytes: None,
        swappiness: None,
        swapped_bytes: 0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_figures_of_both_versions_are_read_and_none_is_not_known() {
        let with = |memory: Value, pids: Value| {
            read(json!({ "memory_stats": memory, "pids_stats": pids }).to_string().as_bytes())
        };
        let of = |memory| with(memory, json!({ "current": 1 }));
        let cgroup = |cache_bytes| Cgroup {
            used_bytes: 100,
            unevictable_bytes: 7,
            cache_bytes,
            swap_limit_bytes: None,
            swappiness: None,
            swapped_bytes: 0,
        };
        let v1 = json!({ "total_inactive_file": 20, "total_active_file": 10, "inactive_file": 1, "active_file": 1, "total_unevictable": 7, "unevictable": 0 });
        assert_eq!(of(json!({ "usage": 100, "stats": v1 })), Some(cgroup(30)));
        let v2 = json!({ "inactive_file": 4, "active_file": 1, "unevictable": 7 });
        assert_eq!(of(json!({ "usage": 100, "stats": v2 })), Some(cgroup(5)));
        for unknown in [json!({}), json!({ "usage": 0 }), json!({ "usage": "much" }), json!(null)] {
            assert_eq!(of(unknown.clone()), None, "{unknown}");
        }
        assert_eq!(with(json!({ "usage": 1_u64 << 40 }), json!({})), None, "the machine's");
        assert_eq!(read(b"no JSON"), None);
    }
}
