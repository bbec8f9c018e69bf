use super::*;
use crate::core::values::Size;

const GIB: u64 = 1 << 30;

fn facts() -> HostFacts {
    HostFacts::read(
        "kernel 6.12.1\nreclaim v2\npsi yes\nmissing\nroom 10485760 20971520 /var/lib\n",
    )
}

fn host(facts: &HostFacts) -> HostState<'_> {
    HostState {
        facts,
        free_swap: FreeSwap::default(),
        root: Some("yes"),
        swap: SwapWish::Free(Size { bytes: 2 * GIB }),
        swap_path: "/var/lib/makeroom/swapfile",
        no_reclaim: false,
        inside: Inside::Nothing,
        unseen: None,
    }
}

#[test]
fn the_steps_output_is_read() {
    assert_eq!(
        facts(),
        HostFacts {
            kernel: "6.12.1".to_owned(),
            reclaim: ReclaimWay::V2,
            has_psi: true,
            missing: vec![],
            disk: Some(Disk { total_bytes: 20 * GIB, free_bytes: 10 * GIB }),
            misplaced: None,
            is_swap_denied: false
        }
    );
    assert_eq!(
        HostFacts::read("missing fallocate swapon\nnoise\n").missing,
        ["fallocate", "swapon"]
    );
}

#[test]
fn a_host_that_has_all_is_well() {
    let facts = facts();
    assert!(of_host(&host(&facts)).iter().all(|check| check.fix.is_none()));
}

#[test]
fn each_thing_that_is_missing_is_one_line_with_its_fix() {
    let facts = facts();
    let ills = |host: &HostState<'_>| {
        of_host(host).into_iter().filter(|check| check.fix.is_some()).collect::<Vec<_>>()
    };
    let bare = HostFacts { missing: vec!["mkswap".to_owned()], ..facts.clone() };
    let full = HostFacts {
        disk: Some(Disk { total_bytes: 20 * GIB, free_bytes: 2 * GIB }),
        ..facts.clone()
    };
    let old = HostFacts { reclaim: ReclaimWay::Old, ..facts.clone() };
    let theirs =
        HostFacts::read("kernel 6.12.1\nreclaim v2\npsi yes\nplace /srv belongs to user 1000\n");
    let denied =
        HostFacts::read("kernel 6.12.1\nreclaim v2\npsi yes\nswap denied\nplace /x is on tmpfs\n");
    let read_only = HostFacts::read("kernel 6.12.1\nreclaim read-only\npsi yes\n");
    let unseen = Inside::OfThisEngine.why_unseen();
    let none = HostFacts { reclaim: ReclaimWay::None, has_psi: false, ..facts.clone() };
    for (host, whats) in [
        (HostState { root: None, ..host(&facts) }, vec!["root", "swap"]),
        (HostState { root: None, swap: SwapWish::Off, no_reclaim: true, ..host(&facts) }, vec![]),
        (host(&bare), vec!["swap"]),
        (host(&theirs), vec!["swap"]),
        (host(&full), vec!["swap"]),
        (host(&old), vec!["reclaim"]),
        (HostState { no_reclaim: true, ..host(&old) }, vec![]),
        (host(&none), vec!["reclaim", "pressure"]),
        (host(&denied), vec!["swap"]),
        (HostState { swap: SwapWish::Off, ..host(&denied) }, vec![]),
        (host(&read_only), vec!["reclaim"]),
        (HostState { unseen, ..host(&facts) }, vec!["targets"]),
        (HostState { unseen, swap: SwapWish::Off, no_reclaim: true, ..host(&facts) }, vec![]),
    ] {
        let found = ills(&host);
        assert_eq!(found.iter().map(|check| check.what).collect::<Vec<_>>(), whats, "{found:?}");
    }
    let fix = |host: &HostState<'_>| ills(host)[0].fix.clone().unwrap_or_default();
    assert!(!fix(&host(&denied)).contains("--swap-file"), "no other place helps");
    let off = HostFacts { reclaim: ReclaimWay::Off, ..facts.clone() };
    assert!(fix(&host(&off)).contains("cgroup_enable=memory"));
    for inside in [Inside::Nothing, Inside::OfThisEngine] {
        let fix = fix(&HostState { inside, ..host(&none) });
        assert!(!fix.contains("boot with"), "{fix}");
        assert_eq!(fix.contains("--pid host"), inside == Inside::OfThisEngine, "{fix}");
    }
    let enough = FreeSwap { ahead_bytes: 2 * GIB, ..FreeSwap::default() };
    assert!(
        ills(&HostState { free_swap: enough, ..host(&full) }).is_empty(),
        "what is there need not be made"
    );
    let in_zram = FreeSwap { zram_bytes: 2 * GIB, ..FreeSwap::default() };
    let found = ills(&HostState { free_swap: in_zram, ..host(&full) });
    assert!(found[0].state.starts_with("2.0 GiB free, and"), "a run makes some: {found:?}");
}

#[test]
fn only_where_there_is_systemd_its_timer_is_missed() {
    assert!(
        of_boot(true, false)
            .fix
            .is_some_and(|fix| fix.contains("systemctl enable --now makeroom-recover.timer"))
    );
    for (has_systemd, is_enabled) in [(true, true), (false, true), (false, false)] {
        assert_eq!(of_boot(has_systemd, is_enabled).fix, None);
    }
}

#[test]
fn leases_without_a_holder_are_for_recover() {
    assert_eq!(of_leases(1, 0, 0), Check::well("leases", "1 lease held"));
    assert_eq!(of_leases(0, 2, 1).fix.as_deref(), Some("makeroom recover"));
    assert!(of_leases(0, 0, 1).fix.is_some());
}
