//! What a client and a desktop can say to the guard between them (docs/GUARD.md).
//!
//! What passes is read again here, by a reader of its own that knows nothing but whole messages: only what the tables name may come.
use telerelay_guard::rfb::{Guard, OWN, Refusal, Secret, Settings};
use telerelay_guard::{Machine, Side, Sink};
use telerelay_wire::Moment;

/// What the guard put for each side.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_desktop: Vec<u8>,
}

impl Sink for Put {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        match to {
            Side::Client => self.to_client.extend_from_slice(bytes),
            Side::Desktop => self.to_desktop.extend_from_slice(bytes),
        }
    }
}

/// The encodings of §7, all asked for at once.
pub(crate) const ASKED: [i32; 12] = [0, 1, 6, 16, -223, -224, -239, -258, -307, -308, -312, -313];

/// The viewer's handshake, the desktop's, and what makes every answer possible.
fn begun(settings: Settings) -> (Guard, Put) {
    let mut put = Put::default();
    let mut guard = Guard::begin(settings, Moment::ZERO, &mut put);
    let mut init = *b"RFB 003.003\n\0\0\0\x01\0\x40\0\x30\x20______________________";
    let name = init.len() - 7;
    init[name..].copy_from_slice(&[0, 0, 0, 3, b'p', b'c', b'1']);
    let mut list = vec![2, 0, 0, 12];
    list.extend(ASKED.iter().flat_map(|number| number.to_be_bytes()));
    list.extend([3, 0, 0, 0, 0, 0, 0, 64, 0, 48]);
    let fence = [248, 0, 0, 0, 128, 0, 0, 0, 0];
    guard
        .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, &mut put)
        .and_then(|()| guard.desktop_bytes(&init, Moment::ZERO, &mut put))
        .and_then(|()| guard.client_bytes(&list, Moment::ZERO, &mut put))
        .and_then(|()| guard.desktop_bytes(&fence, Moment::ZERO, &mut put))
        .expect("a session that begins");
    (guard, Put::default())
}

/// Gives the input in pieces of `size` to one side of a guard.
fn said(
    begin: impl Fn() -> (Guard, Put),
    side: Side,
    input: &[u8],
    size: usize,
) -> (Put, Result<(), Refusal>) {
    let (mut guard, mut put) = begin();
    for piece in input.chunks(size.max(1)) {
        let before = put.to_client.len() + put.to_desktop.len();
        let result = match side {
            Side::Client => guard.client_bytes(piece, Moment::ZERO, &mut put),
            Side::Desktop => guard.desktop_bytes(piece, Moment::ZERO, &mut put),
        };
        let more = put.to_client.len() + put.to_desktop.len() - before;
        assert!(more <= piece.len() + OWN, "more is said than was heard");
        if result.is_err() {
            return (put, result);
        }
    }
    (put, Ok(()))
}

fn however_cut(begin: impl Fn() -> (Guard, Put), side: Side, input: &[u8]) -> Put {
    let whole = said(&begin, side, input, input.len());
    for size in [1, 7] {
        assert_eq!(
            said(&begin, side, input, size),
            whole,
            "what passes depends on how it comes"
        );
    }
    whole.0
}

/// What a hostile client says, from its greeting on and in a session that runs.
pub fn guard_client(input: &[u8]) {
    let greeted = || {
        let mut put = Put::default();
        let guard = Guard::begin(Settings::default(), Moment::ZERO, &mut put);
        (guard, Put::default())
    };
    let put = however_cut(greeted, Side::Client, input);
    assert!(put.to_desktop.is_empty(), "nobody has met the desktop yet");
    for view_only in [false, true] {
        let settings = || Settings {
            view_only,
            secret: None,
        };
        let put = however_cut(|| begun(settings()), Side::Client, input);
        assert!(put.to_client.is_empty(), "a client hears itself");
        read_for_desktop(&put.to_desktop, view_only);
    }
}

/// What a desktop says that is none, or a hostile one: from its greeting on and in a session that runs.
pub fn guard_desktop(input: &[u8]) {
    let greeted = || {
        let mut put = Put::default();
        let settings = Settings {
            view_only: false,
            secret: Some(Secret::new(b"secret")),
        };
        let mut guard = Guard::begin(settings, Moment::ZERO, &mut put);
        guard
            .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, &mut put)
            .expect("a viewer");
        (guard, Put::default())
    };
    let put = however_cut(greeted, Side::Desktop, input);
    assert!(
        put.to_desktop.len() <= 12 + 1 + 16 + 1,
        "a desktop hears itself"
    );
    let put = however_cut(|| begun(Settings::default()), Side::Desktop, input);
    assert!(put.to_desktop.is_empty(), "a desktop hears itself");
    read_for_client(&put.to_client);
}

/// Reads what passes to the desktop.
pub(crate) fn read_for_desktop(mut bytes: &[u8], view_only: bool) {
    while let Some(length) = client_message(bytes, view_only) {
        bytes = bytes.get(length..).unwrap_or_default();
    }
}

/// Reads what passes to the client.
pub(crate) fn read_for_client(mut bytes: &[u8]) {
    while let Some(length) = desktop_message(bytes) {
        bytes = bytes.get(length..).unwrap_or_default();
    }
}

/// The length of the client's message that stands at the beginning; `None` at the end, or where its head is cut.
fn client_message(bytes: &[u8], view_only: bool) -> Option<usize> {
    let kind = *bytes.first()?;
    assert!(
        !view_only || ![4, 5, 251, 255].contains(&kind),
        "input passes"
    );
    match kind {
        0 => {
            assert!([8, 16, 32].contains(bytes.get(4)?));
            Some(20)
        }
        2 => {
            let count = usize::from(number(bytes, 2)?);
            let list = bytes.get(4..4 + 4 * count)?;
            for encoding in list.as_chunks().0 {
                assert!(
                    ASKED.contains(&i32::from_be_bytes(*encoding)),
                    "{encoding:?} passes"
                );
            }
            Some(4 + 4 * count)
        }
        3 | 150 => Some(10),
        4 => Some(8),
        5 => Some(6),
        248 => Some(9 + usize::from(*bytes.get(8)?)),
        251 => Some(8 + 16 * usize::from(*bytes.get(6)?)),
        255 => {
            assert_eq!(bytes.get(1), Some(&0), "sound passes");
            Some(12)
        }
        _ => panic!("message {kind} passes"),
    }
}

/// The length of the desktop's message that stands at the beginning; `None` at the end, or where it is cut.
fn desktop_message(bytes: &[u8]) -> Option<usize> {
    match *bytes.first()? {
        0 => update(bytes),
        1 => Some(6 + 6 * usize::from(number(bytes, 4)?)),
        2 | 150 => Some(1),
        248 => Some(9 + usize::from(*bytes.get(8)?)),
        kind => panic!("message {kind} passes"),
    }
}

fn update(bytes: &[u8]) -> Option<usize> {
    let mut at = 4;
    for _ in 0..number(bytes, 2)? {
        let area = usize::from(number(bytes, at + 4)?) * usize::from(number(bytes, at + 6)?);
        let mask =
            usize::from(number(bytes, at + 4)?).div_ceil(8) * usize::from(number(bytes, at + 6)?);
        let encoding = i32::from_be_bytes(*bytes.get(at + 8..)?.first_chunk()?);
        at += 12;
        at += match encoding {
            0 => 4 * area,
            1 => 4,
            6 | 16 | -307 => {
                let length = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
                assert!(encoding != -307 || length <= 255, "a long name passes");
                4 + usize::try_from(length).expect("64 bits")
            }
            -223 | -258 => 0,
            -224 => return Some(at),
            -239 => 4 * area + mask,
            -308 => 4 + 16 * usize::from(*bytes.get(at)?),
            _ => panic!("encoding {encoding} passes"),
        };
    }
    Some(at)
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
