//! Every timer and limit of the protocol (PROTOCOL.md §12). The reasons stand in `relay_core/spec/limits.toml`, and a test
//! compares the numbers with it.
use core::time::Duration;

/// A number of the table: its name and value in limits.toml, in the unit that the name ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name in limits.toml.
    pub name: &'static str,
    /// The value in limits.toml.
    pub value: u64,
}

macro_rules! limits {
    (@type seconds) => { Duration };
    (@type milliseconds) => { Duration };
    (@type $number:ident) => { $number };
    (@value seconds $value:literal) => { Duration::from_secs($value) };
    (@value milliseconds $value:literal) => { Duration::from_millis($value) };
    (@value $number:ident $value:literal) => { $value };
    ($($constant:ident $name:literal $unit:ident $value:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "` of PROTOCOL.md §12")]
            pub const $constant: limits!(@type $unit) = limits!(@value $unit $value);
        )+

        /// All of them, for whoever shows or compares them.
        pub const ALL: &[Limit] = &[$(Limit { name: $name, value: $value },)+];
    };
}

limits! {
    CLIENT_HELLO "client_hello_s" seconds 3;
    HANDSHAKE "handshake_s" seconds 10;
    CLIENT_HELLO_BYTES "client_hello_bytes" usize 4_096;
    GUESTS_PERCENT "guests_percent" usize 25;
    GUESTS_LEAST "guests_least" usize 64;
    DESCRIPTORS_KEPT "descriptors_kept" usize 128;
    HANDSHAKES_PER_WORKER "handshakes_per_worker" u32 1_600;
    HANDSHAKE_BURST "handshake_burst_ms" milliseconds 20;
    HANDSHAKE_WAIT "handshake_wait_ms" milliseconds 1_000;
    BUSY_RETRY "busy_retry_s" seconds 5;
    FIRST_FRAME "first_frame_s" seconds 5;
    ROUTE "route_s" seconds 5;
    DENIED "denied_ms" milliseconds 200;
    GAP_WAIT "gap_wait_s" seconds 3;
    GAP_MEMORY "gap_memory_s" seconds 60;
    GAP_WAITERS "gap_waiters" usize 4;
    ACCEPT "accept_s" seconds 5;
    VERDICT "verdict_s" seconds 4;
    RECORDED "recorded_s" seconds 5;
    PAIRED "paired_s" seconds 10;
    CONNECT "connect_s" seconds 15;
    PATH_ID "path_id_s" seconds 60;
    REDIRECTS "redirects" u32 3;
    KEEPALIVE "keepalive_s" seconds 45;
    KEEPALIVE_ANSWER "keepalive_answer_s" seconds 10;
    READY_SILENCE "ready_silence_s" seconds 100;
    CLONE_PING "clone_ping_s" seconds 3;
    ID_IN_USE_RETRY "id_in_use_retry_s" seconds 300;
    SESSION_END "session_end_s" seconds 5;
    CUT "cut_s" seconds 1;
    SESSION_END_BACKLOG "session_end_backlog" usize 64;
    DIAL_ADDRESS "dial_address_s" seconds 5;
    RETURN_WINDOW_CAP "return_window_cap_s" seconds 60;
    INNER_HANDSHAKE "inner_handshake_s" seconds 10;
    OPEN "open_s" seconds 10;
    DESKTOP "desktop_s" seconds 5;
    NOTICE "notice_s" seconds 120;
    WINDOW_SCREEN "window_screen" u64 4_194_304;
    WINDOW_INPUT "window_input" u64 262_144;
    UNSENT_DESKTOP "unsent_desktop" u64 65_536;
    ACK_BYTES "ack_bytes" u64 65_536;
    ACK "ack_ms" milliseconds 20;
    PING_BUSY "ping_busy_s" seconds 5;
    PING_IDLE "ping_idle_s" seconds 15;
    PING_PARALLEL "ping_parallel_s" seconds 3;
    PING_LOST "ping_lost_s" seconds 10;
    API_FIRST_BYTE "api_first_byte_s" seconds 5;
    API_BYTES_ANONYMOUS "api_bytes_anonymous" u64 65_536;
    API_BYTES_IDENTIFIED "api_bytes_identified" u64 4_194_304;
    API_CONNECTIONS "api_connections" usize 256;
    API_ANONYMOUS "api_anonymous" usize 192;
    API_ANSWER_ANONYMOUS "api_answer_anonymous_s" seconds 30;
    API_ANSWER_IDENTIFIED "api_answer_identified_s" seconds 120;
    SESSIONS_DEFAULT "sessions_default" u16 8;
    AUDIT_GROUP "audit_group_ms" milliseconds 20;
    AUDIT_GROUP_ROWS "audit_group_rows" u64 100;
    AUDIT_FILE_BYTES "audit_file_bytes" u64 67_108_864;
    AUDIT_CHECKPOINT_ROWS "audit_checkpoint_rows" u64 1_000;
    AUDIT_CHECKPOINT "audit_checkpoint_s" seconds 60;
    LOG_TEXT "log_text" usize 256;
}
