//! Borders of windows at moments that are given.

use super::*;

fn zone(name: &str) -> Zone {
    Zone::of(name).expect("it is a time zone")
}

fn at(text: &str) -> u64 {
    let time: Timestamp = text.parse().expect("a time");
    u64::try_from(time.as_nanosecond()).expect("it is after 1970")
}

fn span(unit: Unit, name: &str, now: &str) -> [String; 3] {
    let Span { begin, end, next } = unit.span(zone(name), at(now));
    [begin, end, next]
        .map(|time| Timestamp::from_nanosecond(i128::from(time)).expect("a time").to_string())
}

#[test]
fn months_end_with_the_calendar_in_leap_years_too() {
    let month = |now| span(Unit::Month, "UTC", now);
    assert_eq!(
        month("2028-02-29T23:59:59.999999999Z"),
        ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", "2028-04-01T00:00:00Z"]
    );
    assert_eq!(month("2028-03-01T00:00:00Z")[1], "2028-04-01T00:00:00Z");
    assert_eq!(month("2026-02-28T12:00:00Z")[1], "2026-03-01T00:00:00Z");
    assert_eq!(month("2100-02-28T12:00:00Z")[1], "2100-03-01T00:00:00Z", "no leap year");
    assert_eq!(
        month("2026-12-31T23:00:00Z")[1..],
        ["2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]
    );
    assert_eq!(
        span(Unit::Year, "UTC", "2028-12-31T23:59:59Z"),
        ["2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]
    );
}

#[test]
fn days_are_those_of_the_place_when_its_clocks_change() {
    let day = |name, now| span(Unit::Day, name, now);
    assert_eq!(
        day("Europe/Berlin", "2026-03-29T12:00:00Z"),
        ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"],
        "23 hours"
    );
    assert_eq!(
        day("Europe/Berlin", "2026-10-25T12:00:00Z")[..2],
        ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
        "25 hours"
    );
    assert_eq!(
        day("America/Santiago", "2026-09-06T12:00:00Z")[..2],
        ["2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"],
        "midnight is left out"
    );
    let tokyo = span(Unit::Month, "Asia/Tokyo", "2026-05-31T15:00:00Z");
    assert_eq!(tokyo[..2], ["2026-05-31T15:00:00Z", "2026-06-30T15:00:00Z"]);
}

#[test]
fn weeks_begin_on_monday() {
    let week = |now| span(Unit::Week, "UTC", now);
    assert_eq!(
        week("2026-11-29T23:59:59Z"),
        ["2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"]
    );
    assert_eq!(week("2026-11-30T00:00:00Z")[0], "2026-11-30T00:00:00Z");
}

#[test]
fn hours_are_those_of_the_clock_on_the_wall() {
    let hour = |name, now| span(Unit::Hour, name, now);
    assert_eq!(
        hour("UTC", "2026-01-01T10:59:59Z"),
        ["2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"]
    );
    assert_eq!(
        hour("Asia/Kolkata", "2026-01-01T10:29:59Z")[..2],
        ["2026-01-01T09:30:00Z", "2026-01-01T10:30:00Z"]
    );
}

/// Wherever clocks change, windows follow one another without a gap, and keep to the bounds.
#[test]
fn windows_follow_one_another_in_every_time_zone() {
    for name in TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()) {
        let Some(zone) = Zone::of(&name) else { continue };
        for unit in [Unit::Day, Unit::Week, Unit::Month, Unit::Year, Unit::Hour] {
            let mut now = at("2026-01-01T12:00:00Z");
            let last = if unit == Unit::Hour { now + 8 * DAY } else { now + 400 * DAY };
            while now < last {
                let Span { begin, end, next } = unit.span(zone, now);
                assert!(begin <= now && now < end && end < next, "{name} {unit:?}");
                let following = unit.span(zone, end);
                assert_eq!((following.begin, following.end), (end, next), "{name} {unit:?} {now}");
                assert!(end - begin >= unit.shortest(), "{name} {unit:?} {begin} {end}");
                assert!(end - begin <= unit.longest(), "{name} {unit:?} {begin} {end}");
                now = end;
            }
        }
    }
}

#[test]
fn a_name_that_is_nearly_right_is_answered_by_the_right_one() {
    for (wrong, right) in [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
    ] {
        assert!(Zone::of(wrong).is_none(), "{wrong}");
        assert_eq!(Zone::nearest(wrong).as_deref(), Some(right), "{wrong}");
    }
    assert_eq!(Zone::nearest("Nowhere/At-All-Xyzzy"), None);
}
