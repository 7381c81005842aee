//! How the tiles of a verification were closed in, for people.
//!
//! What a kernel does not have is said plainly: `absent` and `partial` are never left out.

use icecore_tile::HostSandbox;

use crate::output::Table;

/// Processes that are named one by one.
const NAMED_MAX: usize = 4;

/// All hosts in one line, by what holds for them.
pub(super) fn line(mode: &str, hosts: &[HostSandbox]) -> String {
    let mut parts = vec![format!("sandbox {mode}: {}", processes(hosts))];
    let mut groups: Vec<(String, usize)> = Vec::new();
    for host in hosts.iter().filter(|host| !host.is_process) {
        let state = state(host);
        match groups.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => groups.push((state, 1)),
        }
    }
    for (state, count) in groups {
        let threads = if count == 1 { "thread" } else { "threads" };
        parts.push(format!("{state} on {count} {threads}"));
    }
    parts.join("; ")
}

fn state(host: &HostSandbox) -> String {
    format!("seccomp {}, landlock {}", host.seccomp, host.landlock)
}

/// The tiles that are processes, with what holds for them unless it is everything.
fn processes(hosts: &[HostSandbox]) -> String {
    let processes: Vec<_> = hosts.iter().filter(|host| host.is_process).collect();
    let names: Vec<_> = processes.iter().map(|host| host.host.as_str()).collect();
    let mut text = match names.len() {
        0 => return "no tile in a process of its own".to_string(),
        1 => format!("{} in a process of its own", names[0]),
        2..=NAMED_MAX => format!("{} in processes of their own", names.join(", ")),
        count => format!("{count} tiles in processes of their own"),
    };
    let mut states: Vec<_> = processes
        .iter()
        .filter(|host| (host.seccomp.as_str(), host.landlock.as_str()) != ("enforced", "full"))
        .map(|host| state(host))
        .collect();
    states.dedup();
    if !states.is_empty() {
        text.push_str(&format!(" ({})", states.join("; ")));
    }
    text
}

/// Each host with what it may ask of the kernel.
pub(super) fn hosts(hosts: &[HostSandbox]) -> Table {
    let mut table = Table::new(&["host", "is", "seccomp", "landlock", "may, besides memory"]);
    for host in hosts {
        let allowed = match host.seccomp.as_str() {
            "enforced" if host.allowed.is_empty() => "nothing".to_string(),
            "enforced" => host.allowed.join(", "),
            "logged" => format!("anything; unlogged: {}", host.allowed.join(", ")),
            _ => "anything".to_string(),
        };
        table.row([
            host.host.clone(),
            if host.is_process { "process" } else { "thread" }.to_string(),
            host.seccomp.clone(),
            host.landlock.clone(),
            allowed,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, is_process: bool, seccomp: &str, landlock: &str) -> HostSandbox {
        HostSandbox {
            host: name.to_string(),
            is_process,
            seccomp: seccomp.to_string(),
            landlock: landlock.to_string(),
            allowed: Vec::new(),
        }
    }

    #[test]
    fn one_line_says_what_holds() {
        let all = [
            host("decompress:0", true, "enforced", "full"),
            host("read:0", false, "enforced", "full"),
            host("hash:0", false, "enforced", "full"),
        ];
        assert_eq!(
            line("on", &all),
            "sandbox on: decompress:0 in a process of its own; \
             seccomp enforced, landlock full on 2 threads"
        );
    }

    #[test]
    fn what_the_kernel_lacks_is_said() {
        let some = [
            host("decompress:0", true, "absent", "partial"),
            host("decompress:1", true, "absent", "partial"),
            host("read:0", false, "absent", "partial"),
            host("visit:0", false, "off", "off"),
        ];
        assert_eq!(
            line("on", &some),
            "sandbox on: decompress:0, decompress:1 in processes of their own \
             (seccomp absent, landlock partial); seccomp absent, landlock partial on 1 thread; \
             seccomp off, landlock off on 1 thread"
        );
        let text = hosts(&some).lines().join("\n");
        assert!(text.contains("visit:0       thread   off      off       anything"), "{text}");
    }

    #[test]
    fn many_processes_are_counted() {
        let many: Vec<_> = (0..5)
            .map(|number| host(&format!("decompress:{number}"), true, "enforced", "full"))
            .collect();
        assert_eq!(line("on", &many), "sandbox on: 5 tiles in processes of their own");
    }
}
