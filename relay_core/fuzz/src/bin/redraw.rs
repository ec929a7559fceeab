//! Fuzz target `redraw`: guided by libFuzzer in the coverage build, elsewhere a run of the files that are named.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| telerelay_fuzz::redraw(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    telerelay_fuzz::replay(telerelay_fuzz::redraw)
}
