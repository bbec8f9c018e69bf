//! A journal, damaged in any way: what can be read of it counts, line by line, and nothing else
//! does. The sums of its lines are set right first, because no chance would, except where a line's
//! begins with `!`.
#![no_main]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use makeroom::core::{lease::{late_call::{self, Call, Moment}, lines::{self, Unreadable}, record::{Record, VERSION}, state::LeaseState}, machine::way::Way};

fuzz_target!(|bytes: &[u8]| {
    as_it_is(bytes);
    let summed = summed(bytes);
    as_it_is(&summed);
    with_a_line_damaged(&summed, bytes.len());
});

/// It is the fold of its lines that can be read, and what was read is what was written.
fn as_it_is(bytes: &[u8]) {
    let found = lines::read(bytes);
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    assert_eq!(found, lines::read(&bytes[..end]), "what follows the last line's end says nothing");
    let lines: Vec<_> = bytes[..end].split_inclusive(|&byte| byte == b'\n').collect();
    match (fold(lines.iter().copied()), found) {
        (Ok(folded), Ok(found)) => {
            assert_eq!(found, folded);
            written_again(&lines, &found);
            ways(&found);
            open_calls(&found);
        }
        (folded, found) => assert_eq!(found, folded),
    }
}

/// The same, read in a second way.
fn fold<'line>(lines: impl Iterator<Item = &'line [u8]>) -> Result<LeaseState, Unreadable> {
    let mut state = LeaseState::default();
    for (index, line) in lines.enumerate() {
        if let Some(version) = json(line).and_then(version).filter(|version| *version > VERSION) {
            return Err(Unreadable::Newer { version });
        }
        match record(line) {
            Some(record) => state.apply(&record),
            None => drop(state.damaged_line.get_or_insert(index + 1)),
        }
    }
    Ok(state)
}

fn json(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = (line.get(..8)?, line.strip_suffix(b"\n")?.get(9..)?);
    let is_sum = line[8] == b' ' && u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16) == Ok(crc32fast::hash(json));
    is_sum.then_some(json)
}

fn version(json: &[u8]) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: Option<u32>,
    }
    serde_json::from_slice::<Versioned>(json).ok()?.version
}

fn record(line: &[u8]) -> Option<Record> {
    serde_json::from_slice(json(line)?).ok()
}

/// Every record, written by us, is one line and the same record, and the journal of them all says
/// the same.
fn written_again(lines: &[&[u8]], found: &LeaseState) {
    let mut journal = String::new();
    for record in lines.iter().filter_map(|line| record(line)) {
        let text = lines::line(&record);
        assert_eq!(text.matches('\n').count(), 1, "{record:?}");
        assert_eq!(self::record(text.as_bytes()).as_ref(), Some(&record), "{text}");
        journal += &text;
    }
    let again = lines::read(journal.as_bytes()).expect("what we write");
    assert_eq!(again, LeaseState { damaged_line: None, ..found.clone() });
}

/// A way's words are those that it is known by, and none of them is taken for an option.
fn ways(found: &LeaseState) {
    let Some(way) = found.host() else { return };
    let words = way.prefix().words;
    let known = Way::of_words(&words);
    assert_eq!(known.prefix().words, words, "{way:?}");
    let part = match way {
        // By a journal's word it is one's own, whatever it looks like.
        Way::Own { .. } => return assert!(words.first().is_some_and(|program| !program.is_empty())),
        Way::RancherDesktop => "rdctl",
        Way::Colima { profile: part, .. } | Way::Lima { instance: part, .. } => part,
        Way::PodmanMachine { name: part } | Way::Ssh { destination: part, .. } => part,
    };
    assert_eq!(known, *way);
    assert!(!part.starts_with('-') && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic()), "{part:?}");
    assert!(way.home().is_none_or(std::path::Path::is_absolute), "{way:?}");
}

/// Nobody is made to wait for longer than a call's limit, wherever the clocks are, nor for one that
/// is over by the clock since boot.
fn open_calls(found: &LeaseState) {
    let epoch = Moment { at: Timestamp::UNIX_EPOCH, since_boot: Duration::ZERO };
    let calls: Vec<Call> = found.targets.values().filter_map(|held| held.open_call(epoch, None)).collect();
    let mut walls = vec![Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX];
    let mut boots = vec![Duration::ZERO, Duration::MAX];
    for call in &calls {
        walls.extend([Some(call.at), call.until()].into_iter().flatten());
        walls.extend(call.at.checked_add(SignedDuration::from_hours(1)));
        walls.extend(call.at.checked_sub(SignedDuration::from_hours(1)));
        boots.extend([call.since_boot, ends(call).1]);
    }
    let moments: Vec<_> =
        walls.iter().flat_map(|&at| boots.iter().map(move |&since_boot| Moment { at, since_boot })).collect();
    for call in &calls {
        for &now in &moments {
            let left = call.left(now);
            assert!(left <= call.limit.unwrap_or(Duration::MAX), "{call:?} at {now:?}: {left:?}");
            let (is_endless, end) = ends(call);
            assert!(is_endless || now.since_boot < end || left.is_zero(), "{call:?} at {now:?}: {left:?}");
        }
        for other in &calls {
            let later = call.later(Some(*other));
            assert!(
                [*call, *other].contains(&later) && [*call, *other].iter().all(|call| ends(call) <= ends(&later)),
                "{call:?} {other:?}"
            );
        }
    }
    for now in moments {
        let late = found.late_calls(now);
        assert!(late.iter().all(|call| found.targets.contains_key(&call.id)), "{late:?} at {now:?}");
        assert_eq!(late_call::awaited(&late).is_none(), late.is_empty());
    }
}

/// What never ends is after all that does.
fn ends(call: &Call) -> (bool, Duration) {
    (call.limit.is_none(), call.since_boot.saturating_add(call.limit.unwrap_or(Duration::ZERO)))
}

/// With one line damaged it is the fold of the others.
fn with_a_line_damaged(journal: &[u8], chosen: usize) {
    let end = journal.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines: Vec<_> = journal[..end].split_inclusive(|&byte| byte == b'\n').collect();
    if lines.is_empty() {
        return;
    }
    let damaged = chosen % lines.len();
    let with = |damage: &'static [u8]| lines.iter().enumerate().map(move |(index, line)| if index == damaged { damage } else { line });
    for damage in [b"\n".as_slice(), b"\0\0\0\0\0\0\0\0\0\0\n", b"00000000 {\"record\":\"area_gone\"}\n"] {
        let expected = fold(with(b"\n"));
        assert_eq!(lines::read(&with(damage).collect::<Vec<_>>().concat()), expected, "{damage:?}");
        if let Ok(state) = expected {
            assert!(state.damaged_line.is_some_and(|line| line <= damaged + 1));
        }
    }
}

/// Each line's sum, where it has one, is the right one.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let with_sum = |line: &[u8]| match line.split_at_checked(9) {
        Some((sum, json)) if sum[8] == b' ' && sum[0] != b'!' => {
            [format!("{:08x} ", crc32fast::hash(json.strip_suffix(b"\n").unwrap_or(json))).as_bytes(), json].concat()
        }
        _ => line.to_vec(),
    };
    bytes.split_inclusive(|&byte| byte == b'\n').flat_map(with_sum).collect()
}
