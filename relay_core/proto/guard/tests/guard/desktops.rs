//! Conversations with real desktops (docs/GUARD.md §11).
use crate::talk::Talk;

#[test]
fn a_session_with_every_encoding_cut_texts_and_another_pixel_size() {
    let talk = Talk::parse(include_str!("../vectors/xvnc-session.txt"));
    let outcome = talk.check();
    let said = |text: &[u8]| {
        let streams = [&outcome.to_client, &outcome.to_desktop];
        streams
            .iter()
            .any(|stream| stream.windows(text.len()).any(|window| window == text))
    };
    assert!(said("渋谷".as_bytes()), "the name of the desktop passes");
    assert!(!said(b"not to be seen at home"));
    assert!(!said(b"forbidden"));
    assert!(
        !said(b"telerelay-guard\0\xf8"),
        "the answer to the mark is kept"
    );
}

#[test]
fn a_desktop_that_answers_one_request_with_two_updates() {
    Talk::parse(include_str!("../vectors/x11vnc-zlib.txt")).check();
}

#[test]
fn a_desktop_with_and_without_a_secret_in_each_version() {
    for vector in [
        include_str!("../vectors/xvnc-3.3.txt"),
        include_str!("../vectors/xvnc-3.7.txt"),
    ] {
        Talk::parse(vector).check();
    }
    for vector in [
        include_str!("../vectors/xvnc-3.3-secret.txt"),
        include_str!("../vectors/xvnc-3.7-secret.txt"),
        include_str!("../vectors/xvnc-3.8-secret.txt"),
    ] {
        Talk::parse(vector)
            .with_secret(b"secret12 and more")
            .check();
    }
}
