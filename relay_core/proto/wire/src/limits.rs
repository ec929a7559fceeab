//! Every bound of the Rust code. The reasons stand in `relay_core/spec/limits.toml` (docs/LIMITS.md), and a test compares the
//! numbers with it.
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
            #[doc = concat!("`", $name, "` of docs/LIMITS.md")]
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
    DESCRIPTORS_PER_WORKER "descriptors_per_worker" usize 5;
    PIPES_PERCENT "pipes_percent" usize 25;
    HANDSHAKES_PER_WORKER "handshakes_per_worker" u32 1_600;
    HANDSHAKE_BURST "handshake_burst_ms" milliseconds 20;
    HANDSHAKE_WAIT "handshake_wait_ms" milliseconds 1_000;
    BUSY_RETRY "busy_retry_s" seconds 5;
    MEMORY_LOW_PERCENT "memory_low_percent" u64 95;
    MEMORY_LOOK "memory_look_ms" milliseconds 1_000;
    MEMORY_PAUSE "memory_pause_s" seconds 5;
    MEMORY_PER_LEG "memory_per_leg" u64 10_240;
    MEMORY_PER_API "memory_per_api" u64 65_536;
    FIRST_FRAME "first_frame_s" seconds 5;
    ROUTE "route_s" seconds 5;
    DENIED "denied_ms" milliseconds 200;
    LEGS_PER_DEVICE "legs_per_device" usize 64;
    CONNECTS_PER_MINUTE "connects_per_minute" u32 30;
    USAGE_MEMORY "usage_memory_s" seconds 60;
    ORGANISATION_REQUESTS "organisation_requests" usize 512;
    ORGANISATION_SESSIONS "organisation_sessions" u32 2_000;
    ARRIVALS_PER_WORKER "arrivals_per_worker" u32 400;
    ARRIVALS_BURST "arrivals_burst_ms" milliseconds 100;
    ARRIVALS_WAIT "arrivals_wait_ms" milliseconds 2_000;
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
    RETURN_PERCENT "return_percent" usize 75;
    RETURN_FAILURES "return_failures" u32 2;
    RETURN_WINDOW_LEAST "return_window_least_s" seconds 1;
    INNER_HANDSHAKE "inner_handshake_s" seconds 10;
    SWITCH "switch_s" seconds 5;
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
    SESSIONS_DEFAULT "sessions_default" u16 8;
    API_FIRST_BYTE "api_first_byte_s" seconds 5;
    API_BYTES_ANONYMOUS "api_bytes_anonymous" u64 65_536;
    API_BYTES_IDENTIFIED "api_bytes_identified" u64 4_194_304;
    API_CONNECTIONS "api_connections" usize 256;
    API_ANONYMOUS "api_anonymous" usize 192;
    API_LINE "api_line" usize 256;
    API_PLACE "api_place_s" seconds 3;
    API_ANSWER_ANONYMOUS "api_answer_anonymous_s" seconds 30;
    API_ANSWER_IDENTIFIED "api_answer_identified_s" seconds 120;
    ACCEPT_BACKLOG "accept_backlog" i32 4_096;
    ACCEPT_PAUSE "accept_pause_ms" milliseconds 100;
    REFUSED_LINGER "refused_linger_s" seconds 1;
    DESCRIPTORS_MOST "descriptors_most" usize 1_048_576;
    HANDSHAKE_READ "handshake_read" usize 8_192;
    HANDSHAKE_MESSAGE "handshake_message" usize 32_768;
    NODE_READ "node_read" usize 8_192;
    NODE_ORDERS "node_orders" usize 32;
    LEG_UNSENT "leg_unsent" usize 65_536;
    LINGER "linger_s" seconds 2;
    PATH_READ "path_read" usize 65_536;
    PATH_TURNS "path_turns" usize 4;
    EVENT_PLACES "event_places" usize 131_072;
    EVENT_PLACES_PER_CONNECTION "event_places_per_connection" usize 4;
    STOP_LOOK "stop_look_ms" milliseconds 10;
    ENGINE_READ "engine_read" usize 65_536;
    ENGINE_TURN "engine_turn" usize 524_288;
    ENGINE_ORDERS "engine_orders" usize 1_024;
    ENGINE_EVENTS "engine_events" usize 512;
    ENGINE_PLACES "engine_places" usize 64;
    ENGINE_PIPES "engine_pipes" usize 64;
    ENGINE_PIPE "engine_pipe" usize 524_288;
    ENGINE_PIPE_LEAST "engine_pipe_least" usize 65_536;
    ENGINE_PIPE_RETRY "engine_pipe_retry_s" seconds 1;
    ENGINE_BULK "engine_bulk" usize 16_384;
    ENGINE_SPLICE_AFTER "engine_splice_after" u8 2;
    ENGINE_SPLICE_SHORT "engine_splice_short" u8 16;
    ENGINE_SPLICE_LEAST "engine_splice_least" usize 4_096;
    ENGINE_TICK "engine_tick_ms" milliseconds 64;
    CBOR_DEPTH "cbor_depth" u8 8;
    TCP_KEEPALIVE "tcp_keepalive_s" seconds 30;
    TCP_KEEPALIVE_EVERY "tcp_keepalive_every_s" seconds 15;
    TCP_KEEPALIVE_TRIES "tcp_keepalive_tries" u32 4;
    TCP_UNACKNOWLEDGED "tcp_unacknowledged_s" seconds 90;
    TCP_UNSENT "tcp_unsent" u32 131_072;
    TCP_UNREAD "tcp_unread" usize 524_288;
    ENDPOINT_ORDERS "endpoint_orders" usize 128;
    ENDPOINT_READ "endpoint_read" usize 4_096;
    ENDPOINT_EVENTS "endpoint_events" usize 1_024;
    DIAL_SILENCE "dial_silence_s" seconds 3;
    DIAL_NEXT "dial_next_s" seconds 1;
    RESUME_DIAL "resume_dial_s" seconds 3;
    DIRECT_RETRY "direct_retry_s" seconds 60;
    DIRECT_RETRY_CAP "direct_retry_cap_s" seconds 86_400;
    DIRECT_NETWORKS "direct_networks" usize 16;
    TURN_BYTES "turn_bytes" usize 262_144;
    LOCAL_READ "local_read" usize 65_536;
    CIPHERTEXT_UNSENT "ciphertext_unsent" usize 262_144;
    LAST_SCREEN "last_screen_s" seconds 2;
    VIEWER_LEAVING "viewer_leaving_s" seconds 5;
    CLIENT_REQUESTS "client_requests" usize 256;
    DOOR_BACKLOG "door_backlog" i32 16;
    DOOR_PAUSE "door_pause_ms" milliseconds 100;
    SESSION_PATHS "session_paths" usize 4;
    SESSION_QUESTIONS "session_questions" usize 16;
    SESSION_PAGE "session_page" usize 65_536;
    SESSION_IDLE_PAGES "session_idle_pages" usize 4;
    SESSION_IDLE_OUTPUT "session_idle_output" usize 256;
    KEY_FILE_BYTES "key_file_bytes" u64 16_384;
    API_DIAL "api_dial_s" seconds 15;
    GUARD_HANDSHAKE "guard_handshake_s" seconds 10;
    GUARD_NAME "guard_name" usize 255;
    GUARD_FENCE "guard_fence" u8 64;
    GUARD_PIXELS "guard_pixels" usize 33_177_600;
    GUARD_RECTANGLE "guard_rectangle" usize 65_536;
    GUARD_TURN "guard_turn" usize 262_144;
    GUARD_CURSOR "guard_cursor" usize 256;
    GUARD_MARK "guard_mark" usize 1_048_576;
    API_READ "api_read" usize 16_384;
    AUDIT_GROUP "audit_group_ms" milliseconds 20;
    AUDIT_GROUP_ROWS "audit_group_rows" u64 100;
    AUDIT_FILE_BYTES "audit_file_bytes" u64 67_108_864;
    AUDIT_CHECKPOINT_ROWS "audit_checkpoint_rows" u64 1_000;
    AUDIT_CHECKPOINT "audit_checkpoint_s" seconds 60;
    CHAIN_CERTIFICATES "chain_certificates" usize 2;
    LOG_TEXT "log_text" usize 256;
}
