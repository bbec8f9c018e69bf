use super::*;

const MIB: u64 = 1 << 20;
const MEMINFO: &str = "==> /proc/meminfo <==\nMemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\nBuffers: 0 kB\nCached: 0 kB\nSwapCached: 0 kB\nActive: 0 kB\nInactive: 0 kB\nSwapTotal: 100 kB\nSwapFree: 90 kB\nDirty: 0 kB\nWriteback: 0 kB\nMapped: 0 kB\nSlab: 0 kB\nPageTables: 0 kB\nCommitted_AS: 0 kB\nVmallocTotal: 0 kB\nVmallocUsed: 0 kB\nVmallocChunk: 0 kB\n";

fn cgroup(used_bytes: u64) -> Cgroup {
    Cgroup {
        used_bytes,
        unevictable_bytes: 0,
        cache_bytes: 0,
        swap_limit_bytes: None,
        swappiness: None,
        swapped_bytes: 0,
    }
}

fn measured(targets: &[(&str, Cgroup)]) -> Measured {
    let memory = Memory { swap_free_bytes: 100 * MIB, ..Memory::default() };
    Measured {
        memory: Some(memory),
        targets: targets.iter().map(|(id, cgroup)| ((*id).to_owned(), cgroup.clone())).collect(),
        ..Measured::default()
    }
}

#[test]
fn the_steps_output_is_read_section_by_section() {
    let read = read(&format!(
        "{MEMINFO}\n==> /proc/swaps <==\nFilename Type Size Used Priority\n/swap file 100 10 -2\n\n==> /sys/block/zram0/mm_stat <==\n1 2 300 4\n\n==> /sys/block/zram1/mm_stat <==\n1 2 400 4\n==> targets <==\n\
         target a 1 4096 0 7 - 60 5 /sys/x y\ntarget b 2 8192 100 - 0 - - /z\ntarget c 2 8192 100 0 max - 9 /z\ntarget d - - - - - - - -\nread-only\n"
    ));
    assert_eq!(read.memory.expect("memory").available_bytes, 500 * 1024);
    assert_eq!(read.swaps.len(), 1);
    assert_eq!((read.zram_bytes, read.zram_stored_bytes), (700, 2));
    assert_eq!(
        read.targets["a"],
        Cgroup { cache_bytes: 7, swappiness: Some(60), swapped_bytes: 5, ..cgroup(4096) }
    );
    assert_eq!(
        read.targets["b"],
        Cgroup { unevictable_bytes: 100, swap_limit_bytes: Some(0), ..cgroup(8192) }
    );
    assert_eq!(read.targets["c"].swap_limit_bytes, None);
    assert!(read.is_read_only);
    assert!(!read.targets.contains_key("d"), "its cgroup is elsewhere");
    assert_eq!(read.sum_bytes(["a", "b"]), Some(12288));
    assert_eq!(read.sum_bytes(["a", "d"]), None);
}

#[test]
fn what_proc_hides_is_told_from_what_is_on_another_kernel() {
    let unseen = "==> targets <==\ntarget d - - - - - - - -\n";
    let hidden = format!("{MEMINFO}{}", unseen.replace("target d", "hidden\ntarget d"));
    let seen = format!("{MEMINFO}==> targets <==\ntarget a 1 4096 0 7 - 60 0 /x\n");
    for (output, asked, expected) in [
        (hidden.clone(), 1, Some("hidepid")),
        (format!("{MEMINFO}{unseen}"), 1, Some("forwarded socket")),
        (format!("{MEMINFO}{unseen}"), 2, None),
        (seen, 1, None),
        (MEMINFO.to_owned(), 0, None),
    ] {
        let why = read(&output).why_unseen(asked, Inside::Nothing).map(|(why, _)| why);
        assert_eq!(why.is_some(), expected.is_some(), "{output}");
        assert!(why.unwrap_or_default().contains(expected.unwrap_or_default()), "{why:?}");
    }
    assert!(read(&hidden).targets.is_empty());
    let (why, hint) = read(&hidden).why_unseen(1, Inside::OfThisEngine).expect("a reason");
    assert!(why.contains("in a container of this engine") && hint.contains("--pid host"));
}

#[test]
fn given_back_is_the_fall_less_what_compressed_swap_grew_by() {
    let before =
        measured(&[("a", cgroup(100 * MIB)), ("b", cgroup(50 * MIB)), ("gone", cgroup(50 * MIB))]);
    let mut after = measured(&[("a", cgroup(MIB)), ("b", cgroup(60 * MIB))]);
    assert_eq!(given_back(&before, &after).bytes, 99 * MIB);
    after.zram_bytes = 30 * MIB;
    after.memory = Some(Memory {
        zswap_bytes: 9 * MIB,
        available_bytes: 7,
        swap_free_bytes: 100 * MIB,
        ..Memory::default()
    });
    let given = given_back(&before, &after);
    assert_eq!((given.bytes, given.available_change_bytes), (60 * MIB, 7));
    assert_eq!(given.why_little(), None);
    after.zram_bytes = 80 * MIB;
    assert_eq!(
        given_back(&before, &after).why_little().as_deref(),
        Some(
            "99 MiB were pushed out and only 10 MiB given back: compressed swap (zram, zswap) is memory, and took 89 MiB"
        )
    );
}

#[test]
fn a_target_that_gives_back_under_half_is_named_with_the_reason() {
    for (cgroup, swap_free_bytes, expected) in [
        (Cgroup { swap_limit_bytes: Some(0), ..cgroup(60 * MIB) }, 100 * MIB, "may not use swap"),
        (Cgroup { swappiness: Some(0), ..cgroup(60 * MIB) }, 100 * MIB, "swappiness is 0"),
        (Cgroup { unevictable_bytes: 40 * MIB, ..cgroup(60 * MIB) }, 100 * MIB, "locked"),
        (cgroup(60 * MIB), 0, "swap is full"),
        (cgroup(60 * MIB), 100 * MIB, "no reason"),
    ] {
        let mut after = measured(&[("a", cgroup)]);
        after.memory = Some(Memory { swap_free_bytes, ..Memory::default() });
        let given = given_back(&measured(&[("a", super::tests::cgroup(100 * MIB))]), &after);
        assert!(given.reluctant[0].1.contains(expected), "{given:?} should say {expected}");
    }
    let stays = |swapped_bytes| {
        let was = Cgroup { swapped_bytes, ..super::tests::cgroup(100 * MIB) };
        let is = Cgroup { swapped_bytes, ..super::tests::cgroup(99 * MIB) };
        given_back(&measured(&[("a", was)]), &measured(&[("a", is)]))
    };
    assert_eq!(stays(0).unmoved, ["a"], "nothing");
    assert!(stays(101 * MIB).reluctant.is_empty(), "it is in swap already");
    let small = given_back(&measured(&[("a", cgroup(MIB))]), &measured(&[("a", cgroup(MIB))]));
    assert!(small.reluctant.is_empty());
}
