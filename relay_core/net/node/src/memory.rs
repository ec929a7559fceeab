//! How much memory the node uses.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Tells how much it is. Its file stays open: memory is looked at while there are no descriptors, too, and a look takes none
/// from those who wait for one.
pub(crate) struct Gauge(File);

impl Gauge {
    pub(crate) fn open() -> io::Result<Self> {
        File::open("/proc/self/status").map(Self)
    }

    /// Bytes of the process's anonymous memory, swapped out or not: what connections cost, and what nobody but the process can
    /// give back. Files that are mapped, the program's own among them, the kernel takes back by itself; its sockets are beside the
    /// budget.
    ///
    /// `/proc/self/status` costs 20 µs, however much memory there is; `smaps_rollup` would walk all pages.
    pub(crate) fn used(&self) -> io::Result<u64> {
        // 1.5 KiB, of which only a process in a thousand groups has much more.
        let mut status = [0; 16 << 10];
        // From its beginning it is made anew, and comes whole (proc(5)).
        let length = self.0.read_at(&mut status, 0)?;
        of_status(&String::from_utf8_lossy(&status[..length]))
            .ok_or_else(|| io::Error::other("/proc/self/status has no RssAnon"))
    }
}

/// The sum of its two lines, `proc_pid_status(5)`.
fn of_status(status: &str) -> Option<u64> {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((kib("RssAnon:")? + kib("VmSwap:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_no_file_backs_wherever_it_lies() {
        let status = "VmRSS:\t   9000 kB\nRssAnon:\t    5000 kB\nRssFile:\t    4000 kB\nVmSwap:\t     200 kB\n";
        assert_eq!(of_status(status), Some(5_200 * 1024));
        assert_eq!(of_status("VmRSS:\t   9000 kB\n"), None);
    }

    #[test]
    fn this_process_uses_what_it_has_written_and_no_more_when_that_is_gone() {
        const MUCH: usize = 64 << 20;
        let gauge = Gauge::open().unwrap();
        let before = gauge.used().unwrap();
        let written = vec![1_u8; MUCH];
        let with = gauge.used().unwrap();
        drop(written);
        let after = gauge.used().unwrap();
        assert!(with >= before + MUCH as u64 / 2, "{before} {with}");
        assert!(after <= with - MUCH as u64 / 2, "{with} {after}");
    }
}
