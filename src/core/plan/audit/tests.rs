use std::collections::HashMap;

use super::*;
use crate::core::{
    machine::memory::Memory,
    plan::estimate::{Need, NeedSource},
    target::{
        cgroup_of::CgroupOf,
        command_use::CommandUse,
        lives_in::LivesIn,
        method::Method,
        samples,
        selector::Selector,
        start_order::{COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE},
    },
    values::{MethodWish, SwapWish},
};

const MIB: u64 = 1 << 20;
static NO_USE: CommandUse =
    CommandUse { entered: vec![], named: vec![], projects: vec![], builds: false };

fn container(name: &str, labels: &[(&str, &str)]) -> (Listed, Option<Seen>) {
    let labels: HashMap<_, _> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let listed = Listed { id: format!("id-{name}"), labels, ..samples::listed(name) };
    (
        listed,
        Some(Seen {
            cgroup: Some(CgroupOf::Process { pid: 7, id: format!("id-{name}") }),
            ..samples::seen()
        }),
    )
}

fn measured(sizes_mib: &[(&str, u64)]) -> Measured {
    let cgroup = |mebibytes| Cgroup {
        used_bytes: mebibytes * MIB,
        cache_bytes: 10 * MIB,
        unevictable_bytes: 0,
        swap_limit_bytes: None,
        swappiness: None,
        swapped_bytes: 0,
    };
    let memory =
        Memory { total_bytes: 2000 * MIB, available_bytes: 1000 * MIB, ..Memory::default() };
    let targets =
        sizes_mib.iter().map(|(name, size)| (format!("id-{name}"), cgroup(*size))).collect();
    Measured { memory: Some(memory), targets, ..Measured::default() }
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

fn facts<'a>(
    measured: &'a Measured,
    containers: &'a [(Listed, Option<Seen>)],
    pause: &'a [Selector],
) -> Facts<'a> {
    Facts {
        host: None,
        vm_driver: None,
        measured,
        containers,
        pause,
        keep: &[],
        uses: &NO_USE,
        own_container: None,
        stopped_as_wholes: &[],
        method: MethodWish::Auto,
        no_reclaim: false,
        swap: SwapWish::default(),
        swap_place: None,
        has_root: true,
        is_unseen: false,
        need: None,
    }
}

fn need(mebibytes: u64) -> Need {
    Need { bytes: mebibytes * MIB, source: NeedSource::Option }
}

#[test]
fn the_sums_add_up_and_the_largest_comes_first() {
    let (measured, pause) =
        (measured(&[("web", 110), ("mon-a", 60), ("mon-b", 210)]), selectors(&["mon-*"]));
    let containers = [
        container("web", &[]),
        container("mon-a", &[]),
        container("mon-b", &[]),
        container("unmeasured", &[]),
    ];
    let audit = audit(&facts(&measured, &containers, &pause)).expect("an audit");
    let memory = audit.memory;
    assert_eq!(
        (memory.containers_bytes, memory.cache_bytes, memory.other_bytes),
        (350 * MIB, 30 * MIB, 650 * MIB)
    );
    assert_eq!(
        memory.other_bytes + memory.containers_bytes + memory.available_bytes,
        memory.total_bytes
    );
    let names: Vec<_> = audit
        .containers
        .iter()
        .map(|container| (container.name.as_str(), container.role))
        .collect();
    assert_eq!(
        names,
        [
            ("mon-b", Role::Target),
            ("web", Role::Other),
            ("mon-a", Role::Target),
            ("unmeasured", Role::Other)
        ]
    );
    assert_eq!((audit.room_bytes, audit.fits, audit.fit), (250 * MIB, None, None));
    assert!(audit.targets.iter().all(|target| target.needed && target.method == Method::Pause));
}

#[test]
fn with_a_need_only_the_targets_that_cover_the_gap_are_taken() {
    let (measured, pause) = (measured(&[("a", 60), ("b", 210), ("c", 110)]), selectors(&["*"]));
    let containers = [container("a", &[]), container("b", &[]), container("c", &[])];
    for (need_mib, taken, fits) in [
        (900, vec![], true),
        (1100, vec!["b"], true),
        (1201, vec!["b", "c"], true),
        (1350, vec!["b", "c", "a"], true),
        (1351, vec!["b", "c", "a"], false),
    ] {
        let audit =
            audit(&Facts { need: Some(need(need_mib)), ..facts(&measured, &containers, &pause) })
                .expect("an audit");
        let needed: Vec<_> = audit
            .targets
            .iter()
            .filter(|target| target.needed)
            .map(|target| target.name.as_str())
            .collect();
        assert_eq!((needed, audit.fits), (taken, Some(fits)), "{need_mib} MiB");
    }
}

#[test]
fn without_root_or_swap_pausing_gives_nothing_and_auto_stops() {
    let (measured, pause) = (measured(&[("a", 60)]), selectors(&["a"]));
    let containers = [container("a", &[])];
    let base = facts(&measured, &containers, &pause);
    for (facts, method, room_mib) in [
        (Facts { has_root: false, ..base }, Method::Stop, 50),
        (Facts { swap: SwapWish::Off, ..facts(&measured, &containers, &pause) }, Method::Stop, 50),
        (Facts { no_reclaim: true, ..facts(&measured, &containers, &pause) }, Method::Pause, 0),
        (
            Facts {
                has_root: false,
                method: MethodWish::Pause,
                ..facts(&measured, &containers, &pause)
            },
            Method::Pause,
            0,
        ),
    ] {
        let audit = audit(&facts).expect("an audit");
        assert_eq!(
            (audit.targets[0].method, audit.room_bytes),
            (method, room_mib * MIB),
            "{facts:?}"
        );
    }
}

#[test]
fn what_is_kept_ours_paused_or_stopped_is_no_target() {
    let (measured, pause, keep) = (
        measured(&[("kept", 60), ("own", 60), ("paused", 60)]),
        selectors(&["*"]),
        selectors(&["kept"]),
    );
    let mut paused = container("paused", &[]);
    paused.1.as_mut().expect("inspected").state = State::Paused;
    let stopped = (Listed { state: State::Stopped, ..container("stopped", &[]).0 }, None);
    let containers = [container("kept", &[]), container("own", &[]), paused, stopped];
    let audit = audit(&Facts {
        keep: &keep,
        own_container: Some("id-own"),
        ..facts(&measured, &containers, &pause)
    })
    .expect("an audit");
    assert!(audit.targets.is_empty());
    assert_eq!(audit.containers.len(), 3);
}

#[test]
fn who_feels_a_pause_is_warned_of() {
    let in_shop = |name, more: &[(&str, &str)]| {
        container(name, &[&[(COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, name)], more].concat())
    };
    let (measured, pause) = (measured(&[("db", 60), ("log", 60)]), selectors(&["db", "log"]));
    let mut log = in_shop("log", &[]);
    log.0.ports = vec![12201];
    let mut sender = container("sender", &[]);
    sender.1.as_mut().expect("inspected").log_port = Some(12201);
    let other = container("other", &[(COMPOSE_PROJECT, "else"), (COMPOSE_DEPENDS_ON, "db")]);
    let containers = [
        in_shop("db", &[]),
        log,
        in_shop("web", &[(COMPOSE_DEPENDS_ON, "db:service_healthy:true")]),
        sender,
        other,
    ];
    let warnings = audit(&facts(&measured, &containers, &pause)).expect("an audit").warnings;
    assert_eq!(
        warnings,
        [
            "`web` depends on `db`, which would be paused",
            "`sender` sends its log to `log`, which would be paused: it may block"
        ]
    );
    let absent = selectors(&["absent-*"]);
    let nobody = audit(&facts(&measured, &containers, &absent)).expect("an audit");
    assert_eq!(nobody.warnings, ["no container matches `absent-*`"]);
    let untouched = audit(&Facts { need: Some(need(10)), ..facts(&measured, &containers, &pause) })
        .expect("an audit");
    assert!(untouched.warnings.is_empty());
}

#[test]
fn what_would_be_stopped_does_not_survive_a_prune_of_the_build() {
    let measured = measured(&[("a", 60), ("b", 60), ("task", 60)]);
    let pause = selectors(&["a", "b", "task"]);
    let mut task = container("task", &[]);
    task.0.part_of = Some("whole".to_owned());
    let containers = [container("a", &[]), container("b", &[]), task];
    let wholes = ["whole".to_owned()];
    let stop = |need| Facts {
        method: MethodWish::Stop,
        stopped_as_wholes: &wholes,
        need,
        ..facts(&measured, &containers, &pause)
    };
    let text = "what is stopped does not survive a `docker container prune` or `docker system prune` of the build: ";
    for (facts, names) in [
        (stop(None), Some("`a`, `b`")),
        (stop(Some(need(1010))), Some("`a`")),
        (Facts { method: MethodWish::Pause, ..stop(None) }, None),
    ] {
        let warnings = audit(&facts).expect("an audit").warnings;
        assert_eq!(warnings, names.map(|names| format!("{text}{names}")).as_slice());
    }
}

#[test]
fn what_gains_nothing_by_a_pause_is_not_stopped_either_where_others_live_in_it() {
    let (mut measured, pause) = (measured(&[("vpn", 110), ("app", 5)]), selectors(&["vpn"]));
    let vpn = container("vpn", &[]);
    let (listed, seen) = container("app", &[]);
    let lives_in = vec![LivesIn { what: "network", of: "id-vpn".to_owned() }];
    let app = (listed, seen.map(|seen| Seen { lives_in, ..seen }));
    let look = |measured: &Measured, containers: &[(Listed, Option<Seen>)]| {
        let audit = audit(&facts(measured, containers, &pause)).expect("an audit");
        let methods: Vec<Method> = audit.targets.iter().map(|target| target.method).collect();
        let left_alone = audit.containers.into_iter().find_map(|container| container.left_alone);
        (methods, left_alone.unwrap_or_default(), audit.warnings)
    };
    let both = [vpn.clone(), app];
    assert_eq!(look(&measured, &both).0, [Method::Pause], "it gives what it holds");
    measured.targets.get_mut("id-vpn").expect("it is measured").unevictable_bytes = 110 * MIB;
    assert_eq!(look(&measured, &[vpn]).0, [Method::Stop], "nobody lives in it");
    let (methods, left_alone, warnings) = look(&measured, &both);
    assert!(methods.is_empty(), "{methods:?}");
    assert!(left_alone.starts_with("`app` lives in its network"), "{left_alone}");
    assert!(warnings[0].starts_with("`vpn` would be left alone: `app` lives in"), "{warnings:?}");
}
