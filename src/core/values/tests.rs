use super::*;

#[test]
fn sizes_with_a_bare_letter_are_binary_and_with_a_b_decimal() {
    for (text, bytes) in [
        ("2G", 2 << 30),
        ("2GiB", 2 << 30),
        ("2g", 2 << 30),
        ("512MB", 512_000_000),
        ("512M", 512 << 20),
        ("1k", 1024),
        ("1.5GiB", 3 << 29),
        ("4096B", 4096),
        ("0", 0),
        ("0GiB", 0),
        (" 1 GiB ", 1 << 30),
    ] {
        assert_eq!(text.parse(), Ok(Size { bytes }), "{text}");
    }
}

#[test]
fn what_is_no_size_is_refused_with_what_is_allowed() {
    for text in ["", "G", "-1G", "+1G", "two", "2X", "1e30G", "99999999999T", "2 G B", "NaN", "inf"]
    {
        let refused = Size::from_str(text).expect_err(text);
        assert!(refused.contains("allowed: ") && refused.contains(text), "{text}: {refused}");
    }
}

#[test]
fn a_number_without_a_unit_is_refused_with_what_to_write() {
    for (text, write) in [
        ("8", "8GiB, or 8B for bytes"),
        ("1.5", "1.5GiB, or 1.5B for bytes"),
        ("512", "512MiB, or 512B for bytes"),
        ("4294967296", "4294967296B"),
    ] {
        let expected = format!("`{text}` has no unit; allowed: a number and a unit, as {write}");
        assert_eq!(Size::from_str(text), Err(expected.clone()));
        assert_eq!(NeedWish::from_str(text), Err(expected.clone()));
        assert_eq!(SwapWish::from_str(text), Err(expected));
    }
    for (text, write) in [("90", "90s or 90m"), ("5", "5s or 5m")] {
        let expected = format!("`{text}` has no unit; allowed: a number and a unit, as {write}");
        assert_eq!(Span::from_str(text), Err(expected));
    }
    for text in ["1e30", "9999999999999999999999", "-8", "+8", "NaN", "inf"] {
        for error in [
            Size::from_str(text).expect_err(text),
            NeedWish::from_str(text).expect_err(text),
            SwapWish::from_str(text).expect_err(text),
        ] {
            assert!(error.contains("allowed: ") && error.contains(text), "{error}");
        }
    }
}

#[test]
fn a_zero_is_taken_where_it_can_be_meant() {
    assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
    for text in ["0", "0s", "0ms"] {
        assert_eq!(text.parse(), Ok(Span(Duration::ZERO)));
        let refused = NonZeroSpan::from_str(text).expect_err(text);
        assert!(refused.contains("allowed: longer times, as 90s"), "{refused}");
    }
    assert_eq!("1ms".parse(), Ok(NonZeroSpan(Span(Duration::from_millis(1)))));
    for text in ["0", "0GiB", "0B"] {
        assert_eq!(text.parse(), Ok(SwapWish::Off));
        assert!(NeedWish::from_str(text).expect_err(text).contains("a size as 8GiB"));
    }
}

#[test]
fn durations_are_read_as_humantime_reads_them() {
    assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
    assert_eq!("2h 30m".parse(), Ok(Span(Duration::from_mins(150))));
    for text in ["", "5", "5 parsecs", "-1s", "s"] {
        assert!(Span::from_str(text).expect_err(text).contains("allowed: "), "{text}");
    }
}

#[test]
fn a_duration_is_ten_years_at_most_and_so_is_the_way_to_a_deadline() {
    assert_eq!("3650d".parse(), Ok(Span::LONGEST));
    for text in [
        "3650d 1ns",
        "11y",
        "9300000000000000000s",
        "18446744073709551615s",
        "99999999999999999999s",
    ] {
        assert!(Span::from_str(text).expect_err(text).contains("ten years at most"), "{text}");
    }
    let begun = Instant::now();
    assert_eq!(deadline(begun, Duration::from_secs(1)), begun + Duration::from_secs(1));
    assert_eq!(deadline(begun, Duration::MAX), begun + Span::LONGEST.0);
}

#[test]
fn percentages_are_whole_numbers_with_or_without_their_sign() {
    for (text, percent) in [("10%", 10), ("1", 1), (" 100 % ", 100)] {
        assert_eq!(text.parse(), Ok(Percent(percent)), "{text}");
    }
    for text in ["", "%", "0", "101%", "-1", "+1", "2.5%", "10%%", "ten"] {
        assert!(Percent::from_str(text).expect_err(text).contains("allowed: "), "{text}");
    }
}

#[test]
fn swap_is_off_or_a_size() {
    assert_eq!("off".parse(), Ok(SwapWish::Off));
    assert_eq!("1G".parse(), Ok(SwapWish::Free(Size { bytes: 1 << 30 })));
    assert!(SwapWish::from_str("on").expect_err("on").contains("allowed: off"));
}

#[test]
fn a_need_is_auto_or_a_size() {
    assert_eq!("auto".parse(), Ok(NeedWish::Auto));
    assert_eq!("1G".parse(), Ok(NeedWish::Size(Size { bytes: 1 << 30 })));
    assert!(NeedWish::from_str("much").expect_err("much").contains("allowed: auto, or a size"));
}

#[test]
fn methods_and_colours_name_what_is_allowed() {
    assert_eq!("stop".parse(), Ok(MethodWish::Stop));
    assert!(MethodWish::from_str("kill").expect_err("kill").contains("auto, pause, stop"));
    assert_eq!("never".parse(), Ok(ColorWish::Never));
    assert!(
        ColorWish::from_str("sometimes").expect_err("sometimes").contains("auto, always, never")
    );
}
