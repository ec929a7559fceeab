//! What a person confirms before a session opens (PROTOCOL.md §8.1).
use std::time::Duration;

use telerelay_endpoint::{ClientEvent, Notice};
use telerelay_wire::Code;
use telerelay_wire::ids::Stage;

use crate::world::{Home, Office, World, exchange, known, time_passes};

const TEXTS: [&str; 2] = ["のぞき見に注意してください。", "Leave no window open."];

/// A client that is asked, by an agent that has not connected its desktop.
async fn asked(world: &mut World) -> (Office, Home, [Notice; 2]) {
    let texts = TEXTS.map(|text| text.try_into().unwrap());
    world.rules.notices = texts.to_vec().try_into().unwrap();
    let office = world.office(8);
    world.relay.until_ready(1).await;
    let mut home = world.home();
    let mut notices = Vec::new();
    for _ in TEXTS {
        notices.push(home.events.until(notice).await);
    }
    let notices: [Notice; 2] = notices.try_into().unwrap();
    world.relay.until_ready(1).await;
    assert_eq!(notices.each_ref().map(|notice| notice.text.as_str()), TEXTS);
    (office, home, notices)
}

fn notice(event: &ClientEvent) -> Option<Notice> {
    match event {
        ClientEvent::Notice(notice) => Some(notice.clone()),
        ClientEvent::Opened(_) => panic!("it opens unconfirmed"),
        _ => None,
    }
}

/// Both ends and the relay were told that no session was opened; the hashes of what was confirmed all the same.
async fn not_confirmed(world: &mut World, mut office: Office, home: Home, confirmed: &[Notice]) {
    assert_eq!(home.finished().await, Code::Notices);
    let expected = (Code::Notices, Stage::Open);
    let ended = office.ended().await;
    assert_eq!((known(&ended.code), ended.stage), expected);
    assert_eq!(ended.session, None);
    let terminal = world.relay.terminal().await;
    assert_eq!((known(&terminal.code), terminal.stage), expected);
    let hashes: Vec<_> = confirmed.iter().map(|notice| notice.hash).collect();
    assert_eq!(terminal.notices, hashes);
}

#[tokio::test]
async fn a_session_opens_once_every_notice_is_confirmed_and_the_record_says_so() {
    let mut world = World::new().await;
    let (_office, mut home, notices) = asked(&mut world).await;
    notices[0].answer(true);
    // Whoever says it again, or otherwise, says nothing.
    for _ in 0..100 {
        notices[0].answer(true);
        notices[0].answer(false);
    }
    // A person reads, and both ends live on.
    time_passes(Duration::from_secs(200)).await;
    notices[1].answer(true);
    let (mut viewer, mut desk) = (home.viewer().await, world.desk().await);
    notices[1].answer(false);
    exchange(&mut desk, &mut viewer).await;
    drop((viewer, desk));
    home.ended().await;
    let terminal = world.relay.terminal().await;
    assert_eq!(terminal.notices, notices.map(|notice| notice.hash));
}

#[tokio::test]
async fn whoever_says_no_to_one_of_them_opens_nothing() {
    let mut world = World::new().await;
    let (office, home, notices) = asked(&mut world).await;
    notices[0].answer(true);
    notices[1].answer(false);
    notices[1].answer(true);
    not_confirmed(&mut world, office, home, &notices[..1]).await;
}

#[tokio::test]
async fn whoever_leaves_without_an_answer_has_not_confirmed() {
    let mut world = World::new().await;
    let (office, home, _) = asked(&mut world).await;
    home.client.stop();
    not_confirmed(&mut world, office, home, &[]).await;
}

#[tokio::test]
async fn the_hours_of_the_rules_end_while_a_person_reads() {
    let mut world = World::new().await;
    world.rules.ends = Some((Duration::from_mins(2), Code::PolicyHours));
    let (mut office, home, notices) = asked(&mut world).await;
    notices[0].answer(true);
    time_passes(Duration::from_mins(2)).await;
    assert_eq!(known(&office.ended().await.code), Code::PolicyHours);
    assert_eq!(home.finished().await, Code::PolicyHours);
    notices[1].answer(true);
}
