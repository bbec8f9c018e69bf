use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use super::*;

/// A schema of this repository.
struct Promise {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Promise {
    fn of(path: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let index = compiler.compile(&path.to_string_lossy(), &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    fn takes(&self, printed: &Value) -> bool {
        self.schemas.validate(printed, self.index).is_ok()
    }

    /// Requires that it takes this, and refuses it with any of these values in it.
    #[track_caller]
    fn must_take_only(&self, printed: &Value, refused: &[(&str, Value)]) {
        if let Err(error) = self.schemas.validate(printed, self.index) {
            panic!("{error}");
        }
        for (place, value) in refused {
            let mut changed = printed.clone();
            *changed.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value.clone();
            assert!(!self.takes(&changed), "{place} may not be {value}");
        }
        for place in places(printed, Value::is_number) {
            let mut changed = printed.clone();
            *changed.pointer_mut(&place).expect("there") = (-1).into();
            assert!(!self.takes(&changed), "{place} may not be negative");
        }
        for place in places(printed, Value::is_object) {
            let object = |printed: &mut Value, act: &dyn Fn(&mut serde_json::Map<_, _>)| {
                act(printed.pointer_mut(&place).and_then(Value::as_object_mut).expect("there"));
            };
            let mut more = printed.clone();
            object(&mut more, &|object| drop(object.insert("more".to_owned(), Value::Null)));
            assert!(!self.takes(&more), "{place} may have no other key");
            for key in printed.pointer(&place).and_then(Value::as_object).expect("there").keys() {
                let mut less = printed.clone();
                object(&mut less, &|object| drop(object.remove(key)));
                assert!(!self.takes(&less), "{place} has to have {key}");
            }
        }
    }
}

/// The places of all such values in it, as JSON pointers.
fn places(value: &Value, is_such: fn(&Value) -> bool) -> Vec<String> {
    let below = |key: &str, value: &Value| {
        let below = places(value, is_such).into_iter();
        below.map(|place| format!("/{key}{place}")).collect::<Vec<_>>()
    };
    let mut all = if is_such(value) { vec![String::new()] } else { vec![] };
    match value {
        Value::Object(keys) => all.extend(keys.iter().flat_map(|(key, value)| below(key, value))),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            all.extend(items.flat_map(|(index, value)| below(&index.to_string(), value)));
        }
        _ => {}
    }
    all
}

fn report() -> Value {
    let point = json!({
        "at_s": 0.5, "available_bytes": 7, "build_bytes": 7, "swap_used_bytes": 0,
        "some_stall_s": 0.0, "full_stall_s": 0.0, "oom_kills": 0,
    });
    json!({
        "version": 1,
        "lease": "0123456789ab",
        "started_at": "2026-11-30T02:00:00Z",
        "command": "pnpm",
        "exit": { "code": 137, "signal": null },
        "interrupted": false,
        "elapsed_s": 1.5,
        "host": null,
        "targets": [{
            "name": "web", "id": "a".repeat(64), "kind": "swarm_service", "method": "pause",
            "memory_bytes": 7, "given_back_bytes": 7, "restored": true, "handed_over": false,
            "answered_after_s": 1.5, "theirs": "recreated",
        }],
        "steps": [{
            "at_s": 1.0, "selector": "mon-*", "cause": "forecast", "pressure_percent": 12.5,
            "available_bytes": 7, "targets": ["a".repeat(64)], "given_back_bytes": 7,
            "undone_at_s": 2.0,
        }],
        "swap": {
            "made": true, "path": "/s", "size_bytes": 7, "peak_used_bytes": 7, "removed": true,
        },
        "memory": {
            "total_bytes": 7, "available_before_bytes": 7, "available_with_room_bytes": 7,
            "available_min_bytes": 7, "build_peak_bytes": 7, "build_peak_source": "process_tree",
            "some_stall_s": 0.0, "full_stall_s": 0.0, "oom_kills": 0,
        },
        "verdict": { "kind": "oom_kill", "cause": "a", "remedy": null },
        "timeline": [point],
    })
}

#[test]
fn the_files_are_what_the_types_say() {
    for SchemaFile { path, text } in all().expect("JSON") {
        let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        assert!(
            file.is_ok_and(|file| file == text),
            "{path} is not what the types say: `cargo run --example schemas` writes it"
        );
    }
}

#[test]
fn a_report_has_all_its_keys_no_other_and_only_sensible_values() {
    let schema = Promise::of("schema/report.json");
    let many = vec![report()["timeline"][0].clone(); 513];
    schema.must_take_only(
        &report(),
        &[
            ("/version", json!(2)),
            ("/lease", json!("0123456789AB")),
            ("/lease", json!("0123456789abc")),
            ("/started_at", json!(null)),
            ("/exit/code", json!(256)),
            ("/exit/signal", json!(0)),
            ("/elapsed_s", json!(null)),
            ("/targets/0/id", json!("web")),
            ("/targets/0/id", json!("a".repeat(24))),
            ("/targets/0/kind", json!("pod")),
            ("/targets/0/method", json!("squeeze")),
            ("/targets/0/memory_bytes", json!(7.5)),
            ("/targets/0/restored", json!(null)),
            ("/targets/0/theirs", json!("touched")),
            ("/steps/0/cause", json!("wish")),
            ("/steps/0/pressure_percent", json!(100.5)),
            ("/steps/0/targets/0", json!("web")),
            ("/memory/build_peak_source", json!("guess")),
            ("/verdict/kind", json!(null)),
            ("/verdict/kind", json!("bad_luck")),
            ("/timeline", json!(many)),
            ("/timeline/0/full_stall_s", json!(null)),
        ],
    );
    for (place, value) in [
        ("/lease", json!(null)),
        ("/host", json!("colima")),
        ("/exit", json!({ "code": null, "signal": 9 })),
        ("/targets/0/id", json!("0123456789abcdefghijklmno")),
        ("/targets/0/memory_bytes", json!(null)),
        ("/targets/0/given_back_bytes", json!(null)),
        ("/targets/0/answered_after_s", json!(null)),
        ("/targets/0/theirs", json!(null)),
        ("/steps/0/pressure_percent", json!(null)),
        ("/steps/0/given_back_bytes", json!(null)),
        ("/steps/0/undone_at_s", json!(null)),
        ("/swap/removed", json!(null)),
        ("/memory/full_stall_s", json!(null)),
        ("/memory/oom_kills", json!(null)),
        ("/memory/build_peak_source", json!(null)),
        ("/timeline", json!(vec![report()["timeline"][0].clone(); 512])),
    ] {
        let mut changed = report();
        *changed.pointer_mut(place).expect("there") = value.clone();
        assert!(schema.takes(&changed), "{place} may be {value}");
    }
}

#[test]
fn what_the_schema_of_a_report_takes_is_read_and_written_as_it_was() {
    let read: RunReport = serde_json::from_value(report()).expect("a report");
    assert_eq!(serde_json::to_value(read).expect("JSON"), report());
}

fn plan() -> Value {
    let container = json!({
        "name": "web", "id": "a".repeat(64), "role": "target", "activity": "running",
        "memory_bytes": 7, "cache_bytes": 7, "left_alone": null, "pause_bytes": 7,
        "stop_bytes": 7,
    });
    json!({
        "version": 1,
        "host": "colima",
        "vm_driver": "vz",
        "here_profits": false,
        "memory": {
            "total_bytes": 7, "available_bytes": 7, "swap_total_bytes": 0, "swap_free_bytes": 0,
            "containers_bytes": 7, "cache_bytes": 0, "other_bytes": 0,
        },
        "need": { "bytes": 7, "source": "heap" },
        "fits": false,
        "fit": { "verdict": "short", "gap_bytes": 7, "short_by_bytes": 7 },
        "room_bytes": 7,
        "swap_to_have_bytes": 0,
        "targets": [{
            "name": "web", "id": "a".repeat(64), "method": "stop", "memory_bytes": 7,
            "gives_bytes": 7, "needed": true,
        }],
        "containers": [container],
        "warnings": ["`a` depends on `b`"],
    })
}

#[test]
fn a_plan_has_all_its_keys_no_other_and_only_sensible_values() {
    let schema = Promise::of("schema/plan.json");
    schema.must_take_only(
        &plan(),
        &[
            ("/version", json!(2)),
            ("/vm_driver", json!("hyperv")),
            ("/here_profits", json!("no")),
            ("/memory", json!(null)),
            ("/memory/total_bytes", json!(null)),
            ("/need/source", json!("guess")),
            ("/fits", json!("no")),
            ("/fit/verdict", json!("fits")),
            ("/fit/verdict", json!("fits_with_room")),
            ("/room_bytes", json!(null)),
            ("/targets/0/id", json!("0123456789abcdefghijklmno")),
            ("/targets/0/method", json!("squeeze")),
            ("/targets/0/gives_bytes", json!(null)),
            ("/containers/0/id", json!("web")),
            ("/containers/0/role", json!("victim")),
            ("/containers/0/activity", json!("stopped")),
            ("/containers/0/pause_bytes", json!(null)),
            ("/warnings/0", json!(null)),
        ],
    );
    for (place, value) in [
        ("/host", json!(null)),
        ("/vm_driver", json!(null)),
        ("/here_profits", json!(null)),
        ("/need", json!(null)),
        ("/fits", json!(null)),
        ("/fit", json!(null)),
        ("/targets/0/memory_bytes", json!(null)),
        ("/containers/0/activity", json!("restarting")),
        ("/containers/0/memory_bytes", json!(null)),
        ("/containers/0/cache_bytes", json!(null)),
    ] {
        let mut changed = plan();
        *changed.pointer_mut(place).expect("there") = value.clone();
        assert!(schema.takes(&changed), "{place} may be {value}");
    }
    let fits = json!({ "verdict": "fits" });
    for fit in [fits, json!({ "verdict": "fits_with_room", "gap_bytes": 7 })] {
        let mut plan = plan();
        plan["fit"] = fit;
        schema
            .must_take_only(&plan, &[("/fit/verdict", json!("short")), ("/fit/verdict", json!(7))]);
    }
}

#[test]
fn a_status_has_all_its_keys_and_no_other() {
    let status = json!({
        "leases": [{
            "lease": "0123456789ab", "kind": "start", "name": "night", "program": null,
            "since": "2026-11-30T02:00:00Z", "lingers_until": null, "releasing": false,
            "alive": true,
            "targets": [{
                "name": "web", "id": "a".repeat(64), "method": "pause", "replicas": 2,
                "awaited": false, "awaited_until": null,
            }],
            "areas": ["/s"],
        }],
        "unreadable": ["x"],
        "host": null,
        "memory": {
            "total_bytes": 7, "available_bytes": 7, "swap_total_bytes": 0, "swap_free_bytes": 0,
            "zswap_bytes": 0,
        },
        "swap": [{ "path": "/s", "size_bytes": 7, "used_bytes": 0 }],
    });
    let schema = Promise::of("schema/status.json");
    schema.must_take_only(
        &status,
        &[
            ("/leases/0/kind", json!("loan")),
            ("/leases/0/alive", json!(null)),
            ("/leases/0/targets/0/method", json!("squeeze")),
            ("/swap/0/path", json!(null)),
        ],
    );
    let mut unseen = status;
    unseen["memory"] = Value::Null;
    assert!(schema.takes(&unseen));
}
