use super::*;

#[test]
fn what_would_make_it_too_large_is_not_written_and_does_not_count() {
    let base = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(base.path()).expect("a state directory");
    let mut journal = Journal::create(&state, "l").expect("a journal");
    let record = Record::AreaJoined {
        area: crate::core::lease::record::Area {
            path: "/s".to_owned(),
            size_bytes: 1,
            label: "l".to_owned(),
        },
    };
    journal.end = LARGEST_BYTES - 10;
    for written in [journal.intend(std::slice::from_ref(&record)), journal.announce(&record)] {
        let error = written.expect_err("too large").to_string();
        assert!(error.contains("file too large"), "{error}");
    }
    assert!(journal.state().is_empty());
    assert_eq!(journal.file.metadata().expect("there").len(), 0);
    journal.end = 0;
    journal.intend(&[record]).expect("written");
    assert_eq!(journal.reread().expect("read").expect("there"), *journal.state());
    let path = journal.path().to_owned();
    std::fs::remove_file(path).expect("removed");
    assert_eq!(journal.reread().expect("looked"), None);
}
