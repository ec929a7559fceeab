//! Both handshakes: what is accepted, and what is refused (docs/GUARD.md §3, §4).
use telerelay_guard::rfb::{Guard, Refusal, Settings};
use telerelay_guard::{Machine, Side};
use telerelay_wire::{Code, Moment, limits};

use crate::talk::{Outcome, Talk, feed};

/// The viewer is through; the desktop has not spoken.
fn viewer_is_there() -> Talk {
    Talk::default()
        .viewer_greets(b"RFB 003.008\n", &[1, 1])
        .swallowed(&[1])
        .own_to_viewer(&[0; 4])
        .swallowed(&[0])
}

/// The desktop has greeted, in a version that lets the client choose.
fn desktop_greeted() -> Talk {
    viewer_is_there().desktop_greets(b"RFB 003.008\n", b"RFB 003.008\n")
}

/// The desktop has let the guard in without a secret.
fn desktop_is_open(talk: Talk) -> Talk {
    talk.desktop_greets(b"RFB 003.003\n", b"RFB 003.003\n")
        .kept(&[0, 0, 0, 1])
}

#[test]
fn viewers_of_every_version_are_let_in() {
    for version in [b"RFB 003.008\n", b"RFB 003.009\n", b"RFB 003.889\n"] {
        let talk = Talk::default()
            .viewer_greets(version, &[1, 1])
            .swallowed(&[1])
            .own_to_viewer(&[0; 4])
            .swallowed(&[0]);
        desktop_is_open(talk)
            .own_to_desktop(&[0])
            .desktop_shows(b"", b"")
            .check();
    }
    let of_3_7 = Talk::default()
        .viewer_greets(b"RFB 003.007\n", &[1, 1])
        .swallowed(&[1, 77]);
    desktop_is_open(of_3_7)
        .own_to_desktop(&[1])
        .desktop_shows(b"", b"")
        .check();
    for version in [b"RFB 003.003\n", b"RFB 003.005\n", b"RFB 003.000\n"] {
        let talk = Talk::default()
            .viewer_greets(version, &[0, 0, 0, 1])
            .swallowed(&[1]);
        desktop_is_open(talk)
            .own_to_desktop(&[1])
            .desktop_shows(b"", b"")
            .check();
    }
}

#[test]
fn who_is_no_viewer_is_refused() {
    for greeting in [
        b"GET / HTTP/1",
        b"RFB 004.001\n",
        b"RFB 003.00x\n",
        b"RFB 003.008\r",
        b"rfb 003.008\n",
    ] {
        let talk = Talk::default()
            .own_to_viewer(b"RFB 003.008\n")
            .swallowed(greeting);
        assert_eq!(talk.refused(), Refusal::ClientVersion, "{greeting:?}");
    }
    for chosen in [0, 2, 16, 17, 18, 19] {
        let talk = Talk::default()
            .viewer_greets(b"RFB 003.008\n", &[1, 1])
            .swallowed(&[chosen]);
        assert_eq!(talk.refused(), Refusal::ClientSecurity { chosen });
    }
    let early = viewer_is_there().swallowed(&[4, 1]);
    assert_eq!(early.refused(), Refusal::ClientEarly);
    assert_eq!(Refusal::ClientEarly.code(), Code::PolicyUnknown);
}

#[test]
fn desktops_of_every_version_are_spoken_to_in_theirs() {
    for greeting in [b"RFB 003.003\n", b"RFB 003.004\n", b"RFB 003.006\n"] {
        viewer_is_there()
            .desktop_greets(greeting, b"RFB 003.003\n")
            .kept(&[0, 0, 0, 1])
            .own_to_desktop(&[0])
            .desktop_shows(b"", b"")
            .check();
    }
    viewer_is_there()
        .desktop_greets(b"RFB 003.007\n", b"RFB 003.007\n")
        .kept(&[2, 16, 1])
        .own_to_desktop(&[1, 0])
        .desktop_shows(b"", b"")
        .check();
    for greeting in [
        b"RFB 003.008\n",
        b"RFB 003.016\n",
        b"RFB 003.889\n",
        b"RFB 004.001\n",
        b"RFB 005.000\n",
    ] {
        viewer_is_there()
            .desktop_greets(greeting, b"RFB 003.008\n")
            .kept(&[3, 30, 19, 1])
            .own_to_desktop(&[1])
            .kept(&[0; 4])
            .own_to_desktop(&[0])
            .desktop_shows(b"", b"")
            .check();
    }
}

#[test]
fn what_is_no_desktop_is_refused() {
    for greeting in [
        b"SSH-2.0-Open",
        b"RFB 000.000\n",
        b"RFB 003.002\n",
        b"RFB 003.0x8\n",
        b"RFB 003.008 ",
    ] {
        let talk = viewer_is_there().kept(greeting);
        assert_eq!(talk.refused(), Refusal::DesktopVersion, "{greeting:?}");
    }
    assert_eq!(Refusal::DesktopVersion.code(), Code::DesktopProtocol);
}

#[test]
fn a_log_in_that_cannot_be_guarded_is_refused() {
    let closed = [
        5, 6, 13, 16, 17, 18, 19, 20, 30, 33, 35, 36, 129, 130, 133, 0, 255,
    ];
    let mut types = vec![u8::try_from(closed.len()).unwrap()];
    types.extend(closed);
    for talk in [
        desktop_greeted().kept(&types),
        viewer_is_there()
            .desktop_greets(b"RFB 003.003\n", b"RFB 003.003\n")
            .kept(&[0, 0, 0, 30]),
    ] {
        assert_eq!(
            talk.with_secret(b"secret").refused(),
            Refusal::DesktopSecurity
        );
    }
    assert_eq!(Refusal::DesktopSecurity.code(), Code::DesktopSecurity);
}

#[test]
fn a_desktop_that_does_not_let_the_agent_in_says_so() {
    let without = desktop_greeted().kept(&[1, 2]);
    assert_eq!(without.refused(), Refusal::DesktopPassword);
    for talk in [
        // Locked after wrong tries: no type at all.
        desktop_greeted().kept(&[0]),
        viewer_is_there()
            .desktop_greets(b"RFB 003.003\n", b"RFB 003.003\n")
            .kept(&[0; 4]),
        desktop_greeted()
            .kept(&[1, 1])
            .own_to_desktop(&[1])
            .kept(&[0, 0, 0, 1]),
    ] {
        assert_eq!(talk.refused(), Refusal::DesktopRefuses);
    }
    assert_eq!(Refusal::DesktopRefuses.code(), Code::DesktopPassword);
    assert_eq!(Refusal::DesktopPassword.code(), Code::DesktopPassword);
}

#[test]
fn none_is_chosen_before_a_secret_is_told() {
    desktop_greeted()
        .kept(&[2, 2, 1])
        .own_to_desktop(&[1])
        .kept(&[0; 4])
        .own_to_desktop(&[0])
        .desktop_shows(b"", b"")
        .with_secret(b"secret")
        .check();
}

#[test]
fn a_desktop_waits_for_the_viewer_and_must_not_speak_meanwhile() {
    let greeted = Talk::default()
        .own_to_viewer(b"RFB 003.008\n")
        .desktop_greets(b"RFB 003.003\n", b"RFB 003.003\n")
        .kept(&[0, 0, 0, 1]);
    let talk = greeted
        .clone()
        .swallowed(b"RFB 003.003\n")
        .own_to_viewer(&[0, 0, 0, 1])
        .swallowed(&[255])
        .own_to_desktop(&[1]);
    talk.desktop_shows(b"office", b"office").check();
    assert_eq!(greeted.kept(&[0]).refused(), Refusal::DesktopEarly);
}

#[test]
fn a_name_of_two_megabytes_becomes_a_title() {
    let open = || desktop_is_open(viewer_is_there()).own_to_desktop(&[0]);
    let long = [b'n'; 300];
    open()
        .desktop_shows(&long, &long[..255])
        .shown(&[2])
        .check();
    open()
        .desktop_shows(&long[..255], &long[..255])
        .shown(&[2])
        .check();
    // 85 characters of three bytes fit; a cut does not leave a part of one behind.
    let japanese = "席".repeat(86);
    open()
        .desktop_shows(japanese.as_bytes(), &japanese.as_bytes()[..255])
        .check();
    let odd = format!("x{japanese}");
    open()
        .desktop_shows(odd.as_bytes(), &odd.as_bytes()[..253])
        .check();
    // What is no UTF-8 is cut where it is.
    open().desktop_shows(&[0xff; 300], &[0xff; 255]).check();

    let mut outcome = Outcome::default();
    let mut guard = Guard::begin(Settings::default(), Moment::ZERO, &mut outcome);
    let said = |guard: &mut Guard, side, bytes: &[u8], outcome: &mut Outcome| {
        feed(guard, side, bytes, Moment::ZERO, outcome);
    };
    said(&mut guard, Side::Client, b"RFB 003.003\n\x01", &mut outcome);
    said(
        &mut guard,
        Side::Desktop,
        b"RFB 003.003\n\0\0\0\x01",
        &mut outcome,
    );
    let mut init = vec![0; 24];
    init[4] = 32;
    init[20..].copy_from_slice(&2_000_000_u32.to_be_bytes());
    said(&mut guard, Side::Desktop, &init, &mut outcome);
    let before = outcome.to_client.len();
    for _ in 0..2_000 {
        said(&mut guard, Side::Desktop, &[b'n'; 1_000], &mut outcome);
    }
    assert!(guard.is_ready());
    // ServerInit comes with what is told of its name.
    assert_eq!(outcome.to_client.len() - before, 24 + limits::GUARD_NAME);
    said(&mut guard, Side::Desktop, &[2], &mut outcome);
    assert_eq!(
        outcome.to_client.last(),
        Some(&2),
        "what follows the name is followed"
    );
}

#[test]
fn a_pixel_size_that_rfb_does_not_have_is_refused() {
    for bits in [0, 1, 15, 24, 64, 255] {
        let mut init = [0; 24];
        init[4] = bits;
        let talk = desktop_is_open(viewer_is_there())
            .own_to_desktop(&[0])
            .kept(&init);
        assert_eq!(talk.refused(), Refusal::DesktopPixels { bits });
    }
}

#[test]
fn a_desktop_has_its_time_and_the_viewer_any() {
    let mut outcome = Outcome::default();
    let mut guard = Guard::begin(Settings::default(), Moment::ZERO, &mut outcome);
    let due = Moment::ZERO + limits::GUARD_HANDSHAKE;
    assert_eq!(guard.next_timeout(), Some(due));
    assert_eq!(guard.timeout(Moment(due.0 - 1)), Ok(()));
    guard
        .desktop_bytes(b"RFB 003.003\n\0\0\0\x01", Moment(1), &mut outcome)
        .unwrap();
    assert_eq!(guard.next_timeout(), None, "it is the viewer's turn");
    assert_eq!(guard.timeout(due), Ok(()));
    let late = due + limits::GUARD_HANDSHAKE;
    guard
        .client_bytes(b"RFB 003.003\n\x01", late, &mut outcome)
        .unwrap();
    let due = late + limits::GUARD_HANDSHAKE;
    assert_eq!(guard.next_timeout(), Some(due));
    assert_eq!(guard.timeout(due), Err(Refusal::DesktopSilent));
    assert_eq!(guard.next_timeout(), None);
    assert_eq!(
        guard.client_bytes(&[], due, &mut outcome),
        Err(Refusal::DesktopSilent)
    );
    assert_eq!(Refusal::DesktopSilent.code(), Code::DesktopAbsent);
}
