//! Owns the audit of `makeroom plan` as a table that is read in five seconds. Pure.

use crate::core::{
    few::Few,
    machine::vm,
    plan::{
        estimate::{Fit, NeedSource, Role},
        format::{Audit, Audited},
    },
    target::{kind::Kind, method::Method, state::State},
    text::{count, printable, size_in_tenths as size},
};

/// Nobody reads more rows; the JSON has them all.
const MOST_ROWS: usize = 20;

/// Makes the table, with a newline at its end.
#[must_use]
pub fn table(audit: &Audit) -> String {
    let mut lines = sums(audit);
    if !audit.containers.is_empty() {
        lines.push(String::new());
        lines.extend(rows(audit));
    }
    let mut few = Few::default();
    lines.extend(
        audit.warnings.iter().filter(|_| few.may()).map(|warning| format!("\nwarning: {warning}")),
    );
    lines.extend(few.rest().map(|rest| format!("\nwarning: {rest}")));
    lines.join("\n") + "\n"
}

fn line(label: &str, what: &str, bytes: Option<u64>, more: &str) -> String {
    let bytes = bytes.map(size).unwrap_or_default();
    format!("{label:<13} {what:<16} {bytes:>9}   {more}").trim_end().to_owned()
}

fn sums(audit: &Audit) -> Vec<String> {
    let memory = &audit.memory;
    let host = audit.host.as_deref().map_or_else(|| "this machine".to_owned(), printable);
    let swap = match memory.swap_total_bytes {
        0 => "no swap".to_owned(),
        total_bytes => {
            format!("swap: {} free of {}", size(memory.swap_free_bytes), size(total_bytes))
        }
    };
    let makes_room = if audit.targets.is_empty() && audit.room_bytes == 0 {
        "none of it is to make room".to_owned()
    } else {
        format!("{} of it can make room", size(audit.room_bytes))
    };
    let containers = count(audit.containers.len(), Kind::Container.noun());
    let mut lines = vec![
        line("host", &host, Some(memory.total_bytes), &swap),
        line("in use", "kernel, others", Some(memory.other_bytes), ""),
        line("", &containers, Some(memory.containers_bytes), &makes_room),
        line("available", "", Some(memory.available_bytes), ""),
    ];
    if audit.host.is_some() {
        let who = vm::who_profits(&host, audit.vm_driver);
        lines.push(format!("{:<13} {who}", "profits"));
    }
    let Some(need) = audit.need else {
        lines.push(line("the build", "not known", None, "say --need SIZE to see whether it fits"));
        return lines;
    };
    let source = match need.source {
        NeedSource::Option => "--need",
        NeedSource::History => "its last runs",
        NeedSource::Heap => "NODE_OPTIONS",
    };
    lines.push(line("the build", source, Some(need.bytes), ""));
    let behind = if audit.swap_to_have_bytes > 0 {
        format!(", {} of swap behind it", size(audit.swap_to_have_bytes))
    } else {
        String::new()
    };
    let short_by = |gap_bytes, verdict: &str| {
        line("short by", "", Some(gap_bytes), &format!("→ {verdict}{behind}"))
    };
    let verdict = match audit.fit {
        None => return lines,
        Some(Fit::Fits) => {
            line("left over", "", Some(memory.available_bytes - need.bytes), "→ fits as it is")
        }
        Some(Fit::FitsWithRoom { gap_bytes }) => {
            let room = size(
                audit
                    .targets
                    .iter()
                    .filter(|target| target.needed)
                    .map(|target| target.gives_bytes)
                    .sum(),
            );
            short_by(gap_bytes, &format!("fits with room made (+ {room})"))
        }
        Some(Fit::Short { gap_bytes, short_by_bytes }) => {
            let missing = size(short_by_bytes);
            short_by(gap_bytes, &format!("does not fit: {missing} are missing with room made"))
        }
    };
    lines.push(verdict);
    lines
}

fn rows(audit: &Audit) -> Vec<String> {
    let head = Kind::Container.noun().to_uppercase();
    let names: Vec<String> =
        audit.containers.iter().map(|container| printable(&container.name)).collect();
    let width = names
        .iter()
        .take(MOST_ROWS)
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(head.len());
    let mut lines = vec![format!("{head:<width$}  {:>9}  {:>9}  ROOM", "MEMORY", "CACHE")];
    for (container, name) in audit.containers.iter().zip(&names).take(MOST_ROWS) {
        let figure = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), size);
        let (memory, cache) = (figure(container.memory_bytes), figure(container.cache_bytes));
        lines.push(
            format!("{name:<width$}  {memory:>9}  {cache:>9}  {}", room(audit, container))
                .trim_end()
                .to_owned(),
        );
    }
    if let Some(rest) = audit.containers.get(MOST_ROWS..).filter(|rest| !rest.is_empty()) {
        let bytes = rest.iter().filter_map(|container| container.memory_bytes).sum();
        lines.push(format!("and {} more, {} in all", rest.len(), size(bytes)));
    }
    lines
}

fn room(audit: &Audit, container: &Audited) -> String {
    let planned = audit.targets.iter().find(|target| target.id == container.id);
    match (planned, container.role) {
        (Some(target), _) => {
            let method = if target.method == Method::Pause { "pause" } else { "stop" };
            let gives = size(target.gives_bytes);
            if target.needed {
                format!("{method}, + {gives}")
            } else {
                format!("not needed (+ {gives})")
            }
        }
        (None, Role::Kept) => "kept".to_owned(),
        (None, Role::LeftOut) => "left to the command".to_owned(),
        (None, Role::Target) if container.left_alone.is_some() => {
            let why = container.left_alone.as_deref().unwrap_or_default();
            format!("left alone: {why}")
        }
        (None, Role::Target) if container.gives.pause_bytes > 0 => {
            format!("paused already, + {}", size(container.gives.pause_bytes))
        }
        (None, Role::Target) if container.activity == State::Running => "left alone".to_owned(),
        (None, _) if container.activity == State::Paused => "paused already".to_owned(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::machine::vm::VmDriver;
    use crate::core::plan::{
        estimate::{Gives, Need},
        format::{HostMemory, Planned},
    };

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn audit(fit: Option<Fit>) -> Audit {
        let container = |name: &str, role, memory_mib: u64| Audited {
            name: name.to_owned(),
            id: name.to_owned(),
            role,
            activity: State::Running,
            memory_bytes: Some(memory_mib * MIB),
            cache_bytes: Some(12 * MIB),
            left_alone: None,
            gives: Gives::default(),
        };
        Audit {
            version: 1,
            host: Some("colima".to_owned()),
            vm_driver: Some(VmDriver::Vz),
            here_profits: Some(false),
            memory: HostMemory {
                total_bytes: 12 * GIB,
                available_bytes: 7600 * MIB,
                swap_total_bytes: 0,
                swap_free_bytes: 0,
                containers_bytes: 3400 * MIB,
                cache_bytes: 30 * MIB,
                other_bytes: GIB,
            },
            need: fit.map(|_| Need { bytes: 8 * GIB, source: NeedSource::Option }),
            fits: fit.map(Fit::is_enough),
            fit,
            room_bytes: 712 * MIB,
            swap_to_have_bytes: 2 * GIB,
            targets: vec![Planned {
                name: "mon".to_owned(),
                id: "mon".to_owned(),
                method: Method::Pause,
                memory_bytes: Some(724 * MIB),
                gives_bytes: 712 * MIB,
                needed: true,
            }],
            containers: vec![
                container("mon", Role::Target, 724),
                container("db\u{1b}[31m", Role::Kept, 90),
                container("web", Role::Other, 60),
            ],
            warnings: vec![],
        }
    }

    #[test]
    fn the_sum_and_the_verdict_are_one_glance() {
        let shown = table(&audit(Some(Fit::FitsWithRoom { gap_bytes: 592 * MIB })));
        let expected = "\
host          colima            12.0 GiB   no swap
in use        kernel, others     1.0 GiB
              3 containers       3.3 GiB   712 MiB of it can make room
available                        7.4 GiB
profits       a build in colima's engine; not one on this machine: vz gives nothing back to it
the build     --need             8.0 GiB
short by                         592 MiB   → fits with room made (+ 712 MiB), 2.0 GiB of swap behind it

CONTAINER        MEMORY      CACHE  ROOM
mon             724 MiB     12 MiB  pause, + 712 MiB
db\\u{1b}[31m     90 MiB     12 MiB  kept
web              60 MiB     12 MiB
";
        assert_eq!(shown, expected, "{shown}");
    }

    #[test]
    fn each_verdict_has_words_of_its_own() {
        for (fit, words) in [
            (None, "say --need SIZE"),
            (
                Some(Fit::Short { gap_bytes: GIB, short_by_bytes: 312 * MIB }),
                "→ does not fit: 312 MiB are missing with room made",
            ),
        ] {
            let shown = table(&audit(fit));
            assert!(shown.contains(words), "{shown}");
        }
        let mut fits = audit(Some(Fit::Fits));
        fits.memory.available_bytes = 9 * GIB;
        assert!(
            table(&fits).contains("left over                        1.0 GiB   → fits as it is"),
            "{}",
            table(&fits)
        );
    }

    #[test]
    fn a_long_list_is_cut_and_summed_up() {
        let mut long = audit(None);
        long.containers = vec![long.containers[2].clone(); 23];
        let shown = table(&long);
        assert!(shown.ends_with("and 3 more, 180 MiB in all\n"), "{shown}");
        assert_eq!(shown.matches("web").count(), 20);
    }
}
