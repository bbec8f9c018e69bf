//! What becomes of journals that are torn, damaged, newer, or no files at all.

use std::{fs, path::Path, time::Duration};

use crate::support::{
    must_run, process,
    proxy::{Deed, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

use super::abandoned;

#[test]
fn a_journal_that_is_torn_at_its_end_is_read_up_to_there() {
    let site = Site::new();
    let services = site.services(2);
    let torn: [fn(&str) -> String; 4] = [
        |text| text.to_owned() + "1234",
        |text| text.to_owned() + "89abcdef {\"record\":\"restored\",\"id\":",
        // A whole line, but for its end.
        |text| text[..text.len() - 1].to_owned(),
        |text| text[..text.len() - 20].to_owned(),
    ];
    for tear in torn {
        let journal = abandoned(&site, &services);
        let text = fs::read_to_string(&journal).expect("a journal");
        fs::write(&journal, tear(&text)).expect("written");
        site.makeroom(["recover"]).run().expect_code(0).expect_said("2 containers running again");
        assert!(services.are("running") && site.journals().is_empty());
    }
}

#[test]
fn a_journal_without_a_whole_line_is_taken_away() {
    let site = Site::new();
    site.makeroom(["true"]).run().expect_code(0);
    for text in ["", "0123"] {
        fs::write(site.state().join("leases/0123456789ab.journal"), text).expect("written");
        site.makeroom(["recover"]).run().expect_code(0);
        assert!(site.journals().is_empty(), "{text}");
    }
}

/// What cannot be read is said, kept byte for byte, and what it may hold is not touched.
#[track_caller]
fn is_left_alone(site: &Site, services: &Services, journal: &Path, says: &str) {
    let bytes = fs::read(journal).expect("a journal");
    site.makeroom(["recover"])
        .run()
        .expect_code(125)
        .expect_said(says)
        .expect_said(&journal.to_string_lossy());
    site.makeroom(["sh", "-c", "exit 3"])
        .run()
        .expect_code(3)
        .expect_said(says)
        .expect_said("left alone");
    assert_eq!(fs::read(journal).expect("kept"), bytes);
    assert!(services.are("paused"));
    fs::remove_file(journal).expect("removed");
    (0..services.count()).for_each(|index| services.tell(index, "unpause"));
}

/// Overwrites one line, its end left as it is.
fn damage(journal: &Path, line: usize, with: u8) {
    let bytes = fs::read(journal).expect("a journal");
    let mut lines: Vec<Vec<u8>> =
        bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let end = lines[line].len() - 1;
    lines[line][..end].fill(with);
    fs::write(journal, lines.concat()).expect("written");
}

/// The lines of a journal that hold these words.
fn lines_with(journal: &Path, words: &str) -> Vec<usize> {
    let text = fs::read_to_string(journal).expect("a journal");
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.contains(words))
        .map(|(index, _)| index)
        .collect()
}

#[test]
fn a_damaged_journal_is_restored_as_far_as_it_can_be_read_and_then_set_aside_and_said() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    for (words, with) in
        [("\"opened\"", 0), ("\"taken\"", 0), ("\"taken\"", b'x'), ("\"taken\"", b'\n')]
    {
        for by in ["recover", "true"] {
            let journal = abandoned(&site, &services);
            damage(&journal, lines_with(&journal, words)[0], with);
            let damaged = fs::read(&journal).expect("a journal");
            let done = site.makeroom([by]).run();
            // A build is none the worse for it; whoever asks for everything to be put back is told
            // that there may be more.
            done.expect_code(if by == "recover" { 125 } else { 0 })
                .expect_said("2 containers running again")
                .expect_said("is damaged");
            let aside = journal.with_extension("damaged");
            done.expect_said(&format!(
                "set aside as {}",
                aside.file_name().expect("a name").to_string_lossy()
            ));
            assert_eq!(services.states(), before, "{words} {with} {by}");
            assert!(
                fs::read(&aside).expect("set aside").starts_with(&damaged)
                    && site.journals().is_empty()
            );
            site.makeroom(["recover"]).run().expect_code(0).expect_said("nothing to recover");
            assert!(aside.exists(), "never deleted");
        }
    }
}

#[test]
fn of_a_damaged_journal_whose_engine_is_not_there_nothing_is_lost() {
    let site = Site::new();
    let services = site.services(1);
    let before = services.states();
    let journal = abandoned(&site, &services);
    damage(&journal, lines_with(&journal, "\"opened\"")[0], 0);
    // No journal tells which engine it was, and this one is none; nor does one that does not know
    // the container.
    let proxy = Proxy::start();
    proxy.on("inspect", None, Deed::Answer(404, "{\"message\":\"no such container\"}"));
    for engine in [site.path("none"), proxy.socket()] {
        let url = format!("unix://{}", engine.display());
        let done =
            site.makeroom(["recover", "--restore-timeout", "1s"]).env("DOCKER_HOST", &url).run();
        done.expect_code(125).expect_said(services.name(0));
        assert!(journal.exists() && services.are("paused"));
    }
    site.makeroom(["recover"]).run().expect_code(125).expect_said("1 container running again");
    assert_eq!(services.states(), before);
}

#[test]
fn a_keeper_goes_on_with_a_journal_that_was_damaged_under_it() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let journal = site.journals().remove(0);
    damage(&journal, lines_with(&journal, "\"taken\"")[0], b'x');
    let first = run.keeper();
    process::signal(first, libc::SIGKILL);
    run.keeper_other_than(first);
    site.go();
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert_eq!(services.states(), before);
    assert!(journal.with_extension("damaged").exists() && site.journals().is_empty());
}

#[test]
fn a_journal_of_a_newer_version_is_said_loudly_kept_and_left_alone() {
    let site = Site::new();
    let services = site.services(1);
    let journal = abandoned(&site, &services);
    let text = fs::read_to_string(&journal).expect("a journal");
    let (first, rest) = text.split_once('\n').expect("lines");
    let json = first[9..].replace("\"version\":6", "\"version\":99");
    assert_ne!(json, first[9..]);
    fs::write(&journal, format!("{:08x} {json}\n{rest}", crc32fast::hash(json.as_bytes())))
        .expect("written");
    is_left_alone(&site, &services, &journal, "99");
}

#[test]
fn what_is_no_file_in_a_journals_place_holds_nobody_up() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["true"]).run().expect_code(0);
    let leases = site.state().join("leases");
    must_run(std::process::Command::new("mkfifo").arg(leases.join("a.journal")));
    fs::create_dir(leases.join("b.journal")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", leases.join("c.journal")).expect("a link");
    let done = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 3"]).run();
    done.expect_code(3).expect_within(Duration::from_secs(5)).expect_said("1 container paused");
    assert!(services.are("running"));
    assert_eq!(site.journals().len(), 3);
}

#[test]
fn a_journal_larger_than_any_of_ours_is_not_read_and_kept() {
    let site = Site::new();
    let services = site.services(1);
    let journal = abandoned(&site, &services);
    fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .and_then(|file| file.set_len(1 << 31))
        .expect("a size");
    for (words, code) in [(&["recover"][..], 125), (&["sh", "-c", "exit 3"], 3)] {
        let done = site.makeroom(words).run();
        done.expect_code(code)
            .expect_said("it has 2147483648 bytes, and none of ours has more than 16777216")
            .expect_said("left alone")
            .expect_within(Duration::from_secs(5));
    }
    assert_eq!(fs::metadata(&journal).expect("kept").len(), 1 << 31);
    assert!(services.are("paused"));
    services.tell(0, "unpause");
}

#[test]
fn a_journal_of_zeros_or_of_nothing_beside_its_socket_is_kept_and_said() {
    let site = Site::new();
    let services = site.services(2);
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.fill(0),
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(20),
        |bytes| {
            let end = bytes.iter().position(|&byte| byte == b'\n').expect("a line");
            bytes[end + 1..].fill(0);
        },
    ];
    for damage in damages {
        site.makeroom(["start", "--pause", &services.all()]).run().expect_code(0);
        for keeper in site.keepers() {
            process::signal(keeper, libc::SIGKILL);
        }
        wait_until("the keeper is dead", || site.keepers().is_empty());
        let journal = site.journals().remove(0);
        let mut bytes = fs::read(&journal).expect("a journal");
        damage(&mut bytes);
        fs::write(&journal, &bytes).expect("written");
        let done = site.makeroom(["recover"]).run();
        done.expect_code(125)
            .expect_said("is damaged and may have held more")
            .expect_said("docker ps");
        assert!(
            fs::read(journal.with_extension("damaged")).expect("kept").starts_with(&bytes),
            "{}",
            done.err
        );
        assert!(services.are("paused") && site.journals().is_empty());
        // It is not forgotten either.
        site.makeroom(["recover"]).run().expect_code(0).expect_said("damaged journal");
        assert!(site.makeroom(["status"]).run().out.contains("the damaged journal"));
        fs::remove_file(journal.with_extension("damaged")).expect("removed");
        (0..2).for_each(|index| services.tell(index, "unpause"));
    }
}

#[test]
fn what_a_damaged_journal_names_and_does_not_tell_enough_of_is_said() {
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.services(2);
    let area = turn.dir().join("area");
    let start = [
        "start",
        "--swap",
        &swap::more(16),
        "--swap-file",
        &area.display().to_string(),
        "--pause",
        &services.all(),
    ];
    site.makeroom(start).run().expect_code(0);
    for keeper in site.keepers() {
        process::signal(keeper, libc::SIGKILL);
    }
    wait_until("the keeper is dead", || site.keepers().is_empty());
    let journal = site.journals().remove(0);
    damage(&journal, lines_with(&journal, "\"area_making\"")[0], 0);
    damage(&journal, lines_with(&journal, "\"taking\"")[0], 0);
    let done = site.makeroom(["recover"]).run();
    done.expect_code(125)
        .expect_said("1 container running again")
        .expect_said(&area.display().to_string());
    let left = services
        .states()
        .into_iter()
        .flatten()
        .find(|state| state.status == "paused")
        .expect("one is left");
    done.expect_said(&left.id).expect_said("what is to be done for that is lost");
    (0..2)
        .filter(|&index| services.statuses()[index] == "paused")
        .for_each(|index| services.tell(index, "unpause"));
}
